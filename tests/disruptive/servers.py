"""The servers of the cluster under test: taken away for a moment, and always brought back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Servers"]

_START_SECONDS = 100.0
_DEATH_SECONDS = 20.0


class Servers:
    """The servers whose process ids stand in the files NAME.pid of a folder.

    Args:
        start: The command that starts those that do not run, and returns when all work.
    """

    def __init__(self, folder: Path, start: str) -> None:
        self._folder, self._start = folder, start

    @contextmanager
    def killing(self, name: str) -> Iterator[Callable[[], None]]:
        """Give what kills a server; it is started again when the block ends."""
        pid = self._pid(name)
        killed = False

        def kill() -> None:
            nonlocal killed
            os.kill(pid, signal.SIGKILL)
            killed = True

        try:
            yield kill
        finally:
            if killed:
                self._restore(name, pid)

    @contextmanager
    def freezing(self, name: str) -> Iterator[Callable[[], None]]:
        """Give what stops a server without its connections ending; it goes on when the block ends."""
        pid = self._pid(name)
        try:
            yield lambda: os.kill(pid, signal.SIGSTOP)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _pid(self, name: str) -> int:
        return int((self._folder / f"{name}.pid").read_text())

    def _restore(self, name: str, pid: int) -> None:
        # It dies a moment after its connections do; and as a zombie that nobody waits for it keeps its id. Either way
        # it would pass for a living one, and would not be started.
        until = time.monotonic() + _DEATH_SECONDS
        while _runs(pid):
            assert time.monotonic() < until, f"{name} survived a SIGKILL"
            time.sleep(0.05)
        (self._folder / f"{name}.pid").unlink()
        command = shlex.split(self._start)
        subprocess.run(command, check=True, capture_output=True, timeout=_START_SECONDS, stdin=subprocess.DEVNULL)


def _runs(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"
