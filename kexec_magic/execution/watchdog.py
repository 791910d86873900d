"""The exec beside a run: it holds what a terminal's exec is to read, and watches over what cannot watch itself.

A watcher inside the run reads the exec's stdin. Where that belongs to the command, this one's takes its place: when
its connection ends, or nobody is heard of on it, it ends the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from kexec_magic.errors import ProtocolError
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.handshake import Attempt
from kexec_magic.execution.verdict import lacks_shell
from kexec_magic.wire.protocol import Ended, Output
from kexec_magic.wire.supervisor import Held, Said, Supervision

__all__ = ["ShellMissing", "Watchdog", "heartbeat"]

# Seconds between two signs of life at most, and how many of them a run is given before it is ended for want of one:
# the machine may be busy, and a single one late.
_HEARTBEAT = 15.0
_CHANCES = 4

# Seconds for its shell to be up after the upgrade.
_READY = 30.0


def heartbeat(orphan_after: float) -> float:
    """Give the seconds between two signs of life of the client of a run that is ended after so many without one."""
    return min(_HEARTBEAT, orphan_after / _CHANCES)


class ShellMissing(Exception):
    """The container has no shell to watch with; nothing has run."""


class Watchdog:
    """Watches over one run on a connection of its own.

    Args:
        connection: Not open yet.
        supervision: The run's own, for its marks and its processes.
        interval: Seconds between two signs of life.
        tell: Told what is said in the pod, on a thread of the watchdog's.
        lost: Told why the connection ended, if it did so by itself: then the run is being ended in the pod.
    """

    def __init__(
        self,
        connection: ExecConnection,
        supervision: Supervision,
        *,
        interval: float,
        tell: Callable[[Said], object],
        lost: Callable[[str], object],
    ) -> None:
        self._connection, self._supervision, self._interval = connection, supervision, interval
        self._tell, self._lost = tell, lost
        self._dismissed = False
        self._ready = threading.Event()
        self._holder: int | None = None
        self._lacks_shell = False
        self._thread: threading.Thread | None = None

    def start(self, attempts: Sequence[Attempt], *, held: bytes = b"", ends: bool = True) -> int:
        """Connect, and wait until somebody watches in the pod; give the process that holds `held`.

        Args:
            held: What a terminal's exec is to read.
            ends: Whether the run is to be ended when this connection is.

        Raises:
            ShellMissing: If the container has no shell.
            KexecError: Why nobody watches.
        """
        self._connection.open(attempts)
        self._connection.limit_silence()
        self._connection.beat(lambda: self._supervision.control("beat"), interval=self._interval)
        self._connection.write([self._supervision.holding(held, ends=ends) + self._supervision.control("beat")])
        self._thread = threading.Thread(target=self._read, name="kexec watchdog", daemon=True)
        self._thread.start()
        self._ready.wait(_READY)
        if self._lacks_shell:
            raise ShellMissing
        if self._holder is None:
            raise ProtocolError(
                f"nobody watches over the run: {self._connection.lost_because or 'the pod does not answer'}",
                hint="nothing ran; it is safe to run it again",
            )
        return self._holder

    @property
    def is_lost(self) -> bool:
        """Whether nobody can be reached through it any more."""
        return self._thread is not None and not self._thread.is_alive()

    def send(self, word: str) -> None:
        """Send a control line."""
        self._connection.write([self._supervision.control(word)])

    def dismiss(self) -> None:
        """Have it leave the run alone, and wait a moment for it to go."""
        self._dismissed = True
        self.send("bye")
        if self._thread is not None:
            self._thread.join(1.0)

    def abort(self) -> None:
        """End its connection now, from any thread; in the pod it then ends the run."""
        self._connection.abort()

    def _read(self) -> None:
        ears = self._supervision.beside()
        try:
            for event in self._connection.events():
                if isinstance(event, Output):
                    for said in ears.receive(event):
                        if isinstance(said, Held):
                            self._holder = said.pid
                            self._ready.set()
                        elif not isinstance(said, Output):
                            self._tell(said)
                elif isinstance(event, Ended):
                    self._lacks_shell = event.status is not None and lacks_shell(event.status)
                    self._ready.set()
            if self._holder is not None and not self._dismissed:
                self._lost(self._connection.lost_because or "the server closed it")
        finally:
            self._connection.close()
