"""A run's talk with the server, on a thread of its own: which pod, which way to run there, and all that is said."""

from __future__ import annotations

import threading
import time

from kexec_magic.cluster.pods import Pod
from kexec_magic.cluster.targets import Target, explained, resolve
from kexec_magic.errors import ApiError, ClusterUnreachable, ProtocolError, TargetError
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.handshake import Attempt, Command
from kexec_magic.execution.inquest import inquire
from kexec_magic.execution.lines import Lines
from kexec_magic.execution.link import Link
from kexec_magic.execution.mailbox import Mailbox
from kexec_magic.execution.news import News, NoShell, Note
from kexec_magic.execution.request import Request
from kexec_magic.execution.stdin import pieces, typed
from kexec_magic.execution.supervised import SupervisedRun
from kexec_magic.execution.verdict import assured
from kexec_magic.execution.watchdog import ShellMissing
from kexec_magic.wire.channels import Subprotocol

__all__ = ["Conversation"]


class Conversation:
    """Everything that is said to and by the server about one run. What comes of it goes into the mailbox, in order.

    Args:
        target: What is known of it before it is looked up.
        deadline: Monotonic time by which the upgrade must be done; None for no limit of ours.
    """

    def __init__(
        self, link: Link, request: Request, mailbox: Mailbox[News], *, target: Target, deadline: float | None
    ) -> None:
        self._link, self._request = link, request
        self._lines = Lines(link, mailbox, target=target, deadline=deadline)
        self._pod: Pod | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, name=f"kexec {target.pod}", daemon=True)
        self.supervised: SupervisedRun | None = None
        """How signals reach the run; None where they do not."""

    # For the thread that runs the cell -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to talk."""
        self._thread.start()

    def forestall(self) -> bool:
        """End the talk if nothing has run yet, and then nothing will; False if it may have."""
        return self._lines.forestall()

    @property
    def may_have_run(self) -> bool:
        """Whether anything was sent that may have started the command."""
        return self._lines.may_have_run

    @property
    def lost_because(self) -> str:
        """How the run's connection ended, in a few words, where that proved nothing."""
        return self._lines.main.lost_because if self._lines.main is not None else ""

    def inquire(self, *, seconds: float, lost: bool, patient: bool) -> None:
        """Look for the reason of an end that does not tell it; the arguments are those of `inquest.inquire`."""

        def look() -> None:
            api, target = self._link.api.observed(self._lines.post), self._lines.target
            found = inquire(api, target, before=self._pod, seconds=seconds, lost=lost, patient=patient, over=self._over)
            self._lines.post(found)

        threading.Thread(target=look, name="kexec inquest", daemon=True).start()

    def give_up(self, *, is_over: bool) -> None:
        """End the talk, wherever it is.

        Args:
            is_over: Whether the run is. What still runs then is to be left alone; otherwise it is ended in the pod.
        """
        self._over.set()
        if self.supervised is not None and is_over:
            self.supervised.dismiss()
        self._lines.abandon()

    # The talking thread --------------------------------------------------------------------------------------------

    def _talk(self) -> None:
        try:
            self._converse()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
            self._lines.post(assured(error, may_have_run=self._lines.may_have_run))
        finally:
            if self._lines.main is not None:
                self._lines.main.close()

    def _converse(self) -> None:
        link, request, lines = self._link, self._request, self._lines
        api = link.api.observed(lines.post)
        resolved = resolve(
            api,
            context=link.access.context,
            target=request.target,
            selector=request.selector,
            namespace=lines.target.namespace,
            container=request.container,
            timeout=None if lines.deadline is None else lines.deadline - time.monotonic(),
        )
        lines.target, self._pod = resolved.target, resolved.pod
        lines.post(resolved)
        try:
            if request.direct:
                self._run_bare()
            elif lines.target in link.without_shell and request.argv is not None:
                self._run_without_shell()
            else:
                self._run_supervised()
        except TargetError as refused:
            raise explained(api, refused, resolved.target) from None

    def _run_supervised(self) -> None:
        self.supervised = SupervisedRun(self._link, self._lines, self._request)
        try:
            self.supervised.talk()
        except ShellMissing:
            self.supervised = None
            self._link.without_shell.add(self._lines.target)
            self._run_without_shell()

    def _run_without_shell(self) -> None:
        """Run argv as it is in a container that has no shell for a supervisor."""
        request = self._request
        if request.argv is None or request.env or request.cwd or request.keep_running:
            self._lines.post(NoShell())
            return
        self._lines.post(Note("the container has no shell: a stop cannot be confirmed"))
        self._run_bare()

    def _run_bare(self) -> None:
        request = self._request
        attempts = self._link.plan(Command(request.argv or (), stdin=bool(request.stdin), tty=request.tty))
        needs_end = bool(request.stdin) and not request.tty
        if needs_end:
            attempts = [attempt for attempt in attempts if attempt.offer == (Subprotocol.V5,)]
        # An exec without a supervisor runs from the moment that the server accepts it.
        if not self._lines.begin(lambda: None):
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
            self._lines.post(event)

    def _connected_bare(self, attempts: list[Attempt]) -> ExecConnection:
        """Connect, and find out whether anything may run although that failed."""
        lines = self._lines
        try:
            return lines.connect(attempts)
        except (ApiError, TargetError) as refused:
            # A gateway that got no answer does not know either; its refusals are no Status.
            lines.may_have_run = isinstance(refused, ApiError) and refused.code in (502, 504) and not refused.reason
            raise
        except ClusterUnreachable:
            lines.may_have_run = lines.main is not None and lines.main.has_reached_server
            raise
