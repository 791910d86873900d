"""A run under a supervisor in the pod: how it is started, fed and watched over, and how signals reach it."""

from __future__ import annotations

import math
import secrets
import shutil
import threading
import time

from kexec_magic.errors import KexecError
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.handshake import Command
from kexec_magic.execution.ladder import TYPED
from kexec_magic.execution.lines import Lines
from kexec_magic.execution.link import Link
from kexec_magic.execution.news import Note, Unwatched, WatchdogLost
from kexec_magic.execution.request import Request
from kexec_magic.execution.stdin import counted, pieces, typed
from kexec_magic.execution.verdict import lacks_shell
from kexec_magic.execution.watchdog import ShellMissing, Watchdog, heartbeat
from kexec_magic.wire.channels import Channel
from kexec_magic.wire.protocol import Ended, Output
from kexec_magic.wire.supervisor import Began, Exited, Mode, Supervision

__all__ = ["INSPECTION_SECONDS", "SupervisedRun"]

# How long another exec may take to look at what is left of a run.
INSPECTION_SECONDS = 3.0

_INTERRUPT = b"\x03"


class SupervisedRun:
    """One run. `talk` belongs to the thread that reads it; the other methods to the one that runs the cell."""

    def __init__(self, link: Link, lines: Lines, request: Request) -> None:
        self._link, self._lines, self._request = link, lines, request
        self._mode = Mode.TTY if request.tty else Mode.RUN
        self._supervision = Supervision(
            secrets.token_hex(16),
            secrets.token_hex(8),
            orphan_after=None if request.keep_running else math.ceil(request.orphan_after),
            channels=(Channel.STDOUT,) if request.tty else (Channel.STDOUT, Channel.STDERR),
        )
        self._watchdog: Watchdog | None = None

    # The talking thread --------------------------------------------------------------------------------------------

    def talk(self) -> None:
        """Connect, have the command run, and read it to its end.

        Raises:
            ShellMissing: If the container has no shell; nothing has run.
            KexecError: Why there is no connection.
        """
        connection = self._open_terminal() if self._request.tty else self._open()
        for event in connection.events():
            if isinstance(event, Output):
                self._hear(event, connection)
                continue
            if isinstance(event, Ended):
                for output in self._supervision.rest():
                    self._lines.post(output)
                if self._supervision.began is None and event.status is not None and lacks_shell(event.status):
                    connection.close()
                    self._lines.may_have_run = False
                    raise ShellMissing
            self._lines.post(event)

    def _open(self) -> ExecConnection:
        connection = self._lines.connect(self._link.plan(Command(Supervision.argv(), stdin=True)))
        if self._request.stdin:
            self._mode = Mode.FED if connection.subprotocol.has_half_close else Mode.COUNTED
            connection.write([self._opening()])
        else:
            connection.limit_silence()
            connection.beat(lambda: self._supervision.control("beat"), interval=heartbeat(self._request.orphan_after))
            self._lines.begin(lambda: connection.write([self._opening()]))
        return connection

    def _open_terminal(self) -> ExecConnection:
        watchdog = self._new_watchdog(deadline=self._lines.deadline)
        holder = watchdog.start(self._link.plan(Command(Supervision.argv(), stdin=True)), held=self._opening())
        self._watchdog = watchdog
        self._lines.post(Note("on a terminal stderr arrives on stdout"))
        connection = self._lines.connect(self._link.plan(Command(Supervision.argv(holder), stdin=True, tty=True)))
        columns, lines = shutil.get_terminal_size()
        connection.resize(width=columns, height=lines)
        return connection

    def _opening(self) -> bytes:
        return self._supervision.opening(self._mode, self._request.launch)

    def _hear(self, output: Output, connection: ExecConnection) -> None:
        for said in self._supervision.receive(output):
            if isinstance(said, Began) and self._mode is not Mode.RUN:
                self._feed(connection, self._watched())
            elif isinstance(said, Exited) and self._mode is not Mode.RUN:
                connection.stop_writing()
            self._lines.post(said)

    def _watched(self) -> Watchdog:
        """Have somebody watch over the command, who knows its processes."""
        if self._watchdog is None:
            watchdog = self._new_watchdog(deadline=self._lines.deadline)
            watchdog.start(self._link.plan(Command(Supervision.argv(), stdin=True)))
            self._watchdog = watchdog
        else:
            self._watchdog.send("beat")
        return self._watchdog

    def _feed(self, connection: ExecConnection, watchdog: Watchdog) -> None:
        """Let the command start, and have its input written."""
        source = self._request.stdin or b""

        def start() -> None:
            match self._mode:
                case Mode.TTY:
                    watchdog.send("go")
                    connection.write(typed(source))
                case Mode.FED:
                    connection.write([b"go\n"])
                    connection.write(pieces(source))
                    connection.write_end()
                case _:
                    connection.write([b"go\n"])
                    connection.write(counted(source))

        self._lines.begin(start)

    def _new_watchdog(self, *, deadline: float | None) -> Watchdog:
        return Watchdog(
            self._lines.beside(deadline=deadline),
            self._supervision,
            interval=heartbeat(self._request.orphan_after),
            tell=self._lines.post,
            lost=lambda because: self._lines.post(WatchdogLost(because)),
        )

    # The thread that runs the cell ---------------------------------------------------------------------------------

    def signal(self, name: str) -> None:
        """Send INT, TERM or KILL to the run, or type an INT."""
        if name is not TYPED:
            self._control(name)
        elif self._lines.main is not None:
            self._lines.main.write([_INTERRUPT])

    def look(self) -> None:
        """Have the run's live processes told."""
        self._control("look")

    def inspect(self, *, ends: bool) -> None:
        """Look at what is left of a run that is gone itself, or send somebody to; `ends` as in `Watchdog.start`."""
        if self._watchdog is not None and not self._watchdog.is_lost:
            self.look()
            return
        threading.Thread(target=self._inspect, args=(ends,), name="kexec look", daemon=True).start()

    def _inspect(self, ends: bool) -> None:
        try:
            # The run's own deadline may be what it is stopped for.
            watchdog = self._new_watchdog(deadline=time.monotonic() + INSPECTION_SECONDS)
            watchdog.start(self._link.plan(Command(Supervision.argv(), stdin=True)), ends=ends)
            self._watchdog = watchdog
            watchdog.send("look")
        except (KexecError, ShellMissing) as error:
            self._lines.post(Unwatched(str(error)))

    def dismiss(self) -> None:
        """Have whoever watches leave alone what still runs."""
        if self._watchdog is not None:
            self._watchdog.dismiss()

    def _control(self, word: str) -> None:
        if self._watchdog is not None:
            self._watchdog.send(word)
        elif self._mode is Mode.RUN and self._lines.main is not None:
            self._lines.main.write([self._supervision.control(word)])
