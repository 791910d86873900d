"""A run's talk with the server, on a thread of its own: which pod, which way to run there, and all that is said."""

from __future__ import annotations

import math
import secrets
import shutil
import threading
import time

from kexec_magic.cluster.pods import Pod
from kexec_magic.cluster.targets import Target, explained, resolve
from kexec_magic.errors import ApiError, ClusterUnreachable, KexecError, ProtocolError, TargetError
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.handshake import Attempt, Command
from kexec_magic.execution.inquest import inquire
from kexec_magic.execution.ladder import TYPED
from kexec_magic.execution.link import Link
from kexec_magic.execution.mailbox import Mailbox
from kexec_magic.execution.news import News, NoShell, Note, Unwatched, WatchdogLost
from kexec_magic.execution.request import Request
from kexec_magic.execution.stdin import counted, pieces, typed
from kexec_magic.execution.verdict import assured, lacks_shell
from kexec_magic.execution.watchdog import ShellMissing, Watchdog, heartbeat
from kexec_magic.wire.channels import Channel, Subprotocol
from kexec_magic.wire.protocol import Ended, Output
from kexec_magic.wire.supervisor import Began, Exited, Mode, Supervision

__all__ = ["INSPECTION_SECONDS", "Conversation"]

# How long another exec may take to look at what is left of a run.
INSPECTION_SECONDS = 3.0

_INTERRUPT = b"\x03"


class Conversation:
    """Everything that is said to and by the server about one run. What comes of it goes into the mailbox, in order.

    Args:
        target: What is known of it before it is looked up.
        deadline: Monotonic time by which the upgrade must be done; None for no limit of ours.
    """

    def __init__(
        self, link: Link, request: Request, mailbox: Mailbox[News], *, target: Target, deadline: float | None
    ) -> None:
        self._link, self._request, self._mailbox = link, request, mailbox
        self._target, self._deadline = target, deadline
        self._lock = threading.Lock()
        self._connections: list[ExecConnection] = []
        self._given_up = False
        self._may_have_run = False
        self._pod: Pod | None = None
        self._over = threading.Event()
        self._exec: ExecConnection | None = None
        self._mode: Mode | None = None
        self._supervision: Supervision | None = None
        self._watchdog: Watchdog | None = None
        self._thread = threading.Thread(target=self._talk, name=f"kexec {target.pod}", daemon=True)
        self.lost_because = ""

    # For the thread that runs the cell -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to talk."""
        self._thread.start()

    def forestall(self) -> bool:
        """End the talk if nothing has run yet, and then nothing will; False if it may have."""
        with self._lock:
            if not self._may_have_run:
                self._abandon()
            return not self._may_have_run

    @property
    def is_supervised(self) -> bool:
        """Whether signals reach the run."""
        return self._supervision is not None

    @property
    def may_have_run(self) -> bool:
        """Whether anything was sent that may have started the command."""
        return self._may_have_run

    def signal(self, name: str) -> None:
        """Send INT, TERM or KILL to the run, or type an INT."""
        if name is not TYPED:
            self._control(name)
        elif self._exec is not None:
            self._exec.write([_INTERRUPT])

    def look(self) -> None:
        """Have the run's live processes told."""
        self._control("look")

    def inspect(self, *, ends: bool) -> None:
        """Look at what is left of a run that is gone itself, or send somebody to; `ends` as in `Watchdog.start`."""
        if self._watchdog is not None and not self._watchdog.is_lost:
            self.look()
            return
        threading.Thread(target=self._inspect, args=(ends,), name="kexec look", daemon=True).start()

    def inquire(self, *, seconds: float, lost: bool, patient: bool) -> None:
        """Look for the reason of an end that does not tell it; the arguments are those of `inquest.inquire`."""

        def look() -> None:
            api = self._link.api.observed(self._mailbox.put)
            self._mailbox.put(
                inquire(
                    api, self._target, before=self._pod, seconds=seconds, lost=lost, patient=patient, over=self._over
                )
            )

        threading.Thread(target=look, name="kexec inquest", daemon=True).start()

    def give_up(self, *, is_over: bool) -> None:
        """End the talk, wherever it is.

        Args:
            is_over: Whether the run is. What still runs then is to be left alone; otherwise it is ended in the pod.
        """
        self._over.set()
        if self._watchdog is not None and is_over:
            self._watchdog.dismiss()
        with self._lock:
            self._abandon()

    def _abandon(self) -> None:
        self._given_up = True
        for connection in self._connections:
            connection.abort()

    def _control(self, word: str) -> None:
        if self._watchdog is not None:
            self._watchdog.send(word)
        elif self._mode is Mode.RUN and self._exec is not None and self._supervision is not None:
            self._exec.write([self._supervision.control(word)])

    # The talking thread --------------------------------------------------------------------------------------------

    def _talk(self) -> None:
        try:
            self._converse()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
            self._mailbox.put(assured(error, may_have_run=self._may_have_run))
        finally:
            if self._exec is not None:
                self._exec.close()

    def _converse(self) -> None:
        link, request = self._link, self._request
        api = link.api.observed(self._mailbox.put)
        resolved = resolve(
            api,
            context=link.access.context,
            target=request.target,
            selector=request.selector,
            namespace=self._target.namespace,
            container=request.container,
            timeout=None if self._deadline is None else self._deadline - time.monotonic(),
        )
        self._target, self._pod = resolved.target, resolved.pod
        self._mailbox.put(resolved)
        try:
            if request.direct:
                self._run_bare()
            elif self._target in link.without_shell and request.argv is not None:
                self._run_without_shell()
            elif request.tty:
                self._run_on_terminal()
            else:
                self._run_supervised()
        except TargetError as refused:
            raise explained(api, refused, resolved.target) from None

    def _connected(self, attempts: list[Attempt]) -> ExecConnection:
        """Give the connection that this thread is to read, open."""
        self._exec = self._new_connection(self._deadline)
        self._link.remember(self._exec.open(attempts))
        return self._exec

    def _connected_bare(self, attempts: list[Attempt]) -> ExecConnection:
        """Connect, and find out whether anything may run although that failed."""
        try:
            return self._connected(attempts)
        except (ApiError, TargetError) as refused:
            # A gateway that got no answer does not know either; its refusals are no Status.
            self._may_have_run = isinstance(refused, ApiError) and refused.code in (502, 504) and not refused.reason
            raise
        except ClusterUnreachable:
            self._may_have_run = self._exec is not None and self._exec.has_reached_server
            raise

    def _may_start(self) -> bool:
        """Take note that from now on something may run; False where it is too late for that. Call it with the lock."""
        self._may_have_run = not self._given_up
        return self._may_have_run

    def _new_connection(self, deadline: float | None) -> ExecConnection:
        connection = ExecConnection(
            self._link.dialer,
            self._target,
            deadline=deadline,
            on_exchange=self._mailbox.put,
            on_failure=self._mailbox.put,
        )
        with self._lock:
            self._connections.append(connection)
            if self._given_up:
                connection.abort()
        return connection

    def _run_supervised(self) -> None:
        request = self._request
        connection = self._connected(self._link.plan(Command(Supervision.argv(), stdin=True)))
        supervision = self._supervision = self._new_supervision((Channel.STDOUT, Channel.STDERR))
        if request.stdin:
            self._mode = Mode.FED if connection.subprotocol.has_half_close else Mode.COUNTED
            connection.write([supervision.opening(self._mode, request.launch)])
        else:
            self._mode = Mode.RUN
            connection.limit_silence()
            connection.beat(lambda: supervision.control("beat"), interval=heartbeat(request.orphan_after))
            with self._lock:
                if self._may_start():
                    connection.write([supervision.opening(self._mode, request.launch)])
        self._listen(connection, supervision)

    def _run_on_terminal(self) -> None:
        supervision = self._supervision = self._new_supervision((Channel.STDOUT,))
        self._mode, watchdog = Mode.TTY, self._new_watchdog(supervision, deadline=self._deadline)
        try:
            holder = watchdog.start(
                self._link.plan(Command(Supervision.argv(), stdin=True)),
                held=supervision.opening(Mode.TTY, self._request.launch),
            )
        except ShellMissing:
            self._run_without_shell()
            return
        self._watchdog = watchdog
        self._mailbox.put(Note("on a terminal stderr arrives on stdout"))
        connection = self._connected(self._link.plan(Command(Supervision.argv(holder), stdin=True, tty=True)))
        columns, lines = shutil.get_terminal_size()
        connection.resize(width=columns, height=lines)
        self._listen(connection, supervision)

    def _run_without_shell(self) -> None:
        """Run argv as it is in a container that has no shell for a supervisor."""
        self._link.without_shell.add(self._target)
        self._supervision = self._mode = None
        request = self._request
        if request.argv is None or request.env or request.cwd or request.keep_running:
            self._mailbox.put(NoShell())
            return
        self._mailbox.put(Note("the container has no shell: a stop cannot be confirmed"))
        self._run_bare()

    def _run_bare(self) -> None:
        request = self._request
        attempts = self._link.plan(Command(request.argv or (), stdin=bool(request.stdin), tty=request.tty))
        needs_end = bool(request.stdin) and not request.tty
        if needs_end:
            attempts = [attempt for attempt in attempts if attempt.offer == (Subprotocol.V5,)]
        with self._lock:
            # An exec without a supervisor runs from the moment that the server accepts it.
            if not self._may_start():
                return
        try:
            connection = self._connected_bare(attempts)
        except ProtocolError as error:
            if not needs_end:
                raise
            raise ProtocolError(
                f"the input of a run without a supervisor cannot be ended on this server: {error.message}",
                hint="it needs v5.channel.k8s.io (Kubernetes 1.30); leave out --direct, or take an image with a shell",
            ) from None
        if not request.stdin:
            connection.limit_silence()
        else:
            connection.write(typed(request.stdin) if request.tty else pieces(request.stdin))
            if not request.tty:
                connection.write_end()
        for event in connection.events():
            self._post(event, connection)

    def _listen(self, connection: ExecConnection, supervision: Supervision) -> None:
        """Read a supervised exec to its end."""
        for event in connection.events():
            if isinstance(event, Output):
                for said in supervision.receive(event):
                    if isinstance(said, Began):
                        self._begin(connection, supervision)
                    elif isinstance(said, Exited) and self._mode is not Mode.RUN:
                        connection.stop_writing()
                    self._post(said, connection)
                continue
            if isinstance(event, Ended):
                for output in supervision.rest():
                    self._post(output, connection)
                if supervision.began is None and event.status is not None and lacks_shell(event.status):
                    connection.close()
                    self._may_have_run = False
                    self._run_without_shell()
                    return
            self._post(event, connection)

    def _begin(self, connection: ExecConnection, supervision: Supervision) -> None:
        """Let the command start, once somebody watches over it and knows its processes."""
        if self._mode is Mode.RUN:
            return
        if self._watchdog is None:
            watchdog = self._new_watchdog(supervision, deadline=self._deadline)
            watchdog.start(self._link.plan(Command(Supervision.argv(), stdin=True)))
            self._watchdog = watchdog
        else:
            self._watchdog.send("beat")
        with self._lock:
            if not self._may_start():
                return
            source = self._request.stdin or b""
            if self._mode is Mode.TTY:
                self._watchdog.send("go")
                connection.write(typed(source))
            elif self._mode is Mode.FED:
                connection.write([b"go\n"])
                connection.write(pieces(source))
                connection.write_end()
            else:
                connection.write([b"go\n"])
                connection.write(counted(source))

    def _post(self, item: News, connection: ExecConnection) -> None:
        if isinstance(item, Ended):
            self.lost_because = connection.lost_because
        self._mailbox.put(item, size=len(item.data) if isinstance(item, Output) else 0)

    def _new_supervision(self, channels: tuple[Channel, ...]) -> Supervision:
        request = self._request
        return Supervision(
            secrets.token_hex(16),
            secrets.token_hex(8),
            orphan_after=None if request.keep_running else math.ceil(request.orphan_after),
            channels=channels,
        )

    def _new_watchdog(self, supervision: Supervision, *, deadline: float | None) -> Watchdog:
        interval = heartbeat(self._request.orphan_after)
        return Watchdog(
            self._new_connection(deadline),
            supervision,
            interval=interval,
            tell=self._mailbox.put,
            lost=lambda because: self._mailbox.put(WatchdogLost(because)),
        )

    # A thread of its own -------------------------------------------------------------------------------------------

    def _inspect(self, ends: bool) -> None:
        if self._supervision is None:
            return
        try:
            # The run's own deadline may be what it is stopped for.
            watchdog = self._new_watchdog(self._supervision, deadline=time.monotonic() + INSPECTION_SECONDS)
            watchdog.start(self._link.plan(Command(Supervision.argv(), stdin=True)), ends=ends)
            self._watchdog = watchdog
            watchdog.send("look")
        except KexecError as error:
            self._mailbox.put(Unwatched(error))
