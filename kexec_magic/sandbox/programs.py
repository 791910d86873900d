"""How a process becomes a program, as a container runtime does it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path
from typing import NoReturn

__all__ = ["become", "describe", "execute"]

_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def become(user: int) -> None:
    """Give up being root for a user and the group of the same number; 0 stays root."""
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process by a command.

    Raises:
        LookupError: If there is no such program; its text is what the runtime reports (runc 1.1).
        OSError: If the kernel refuses to run it.
    """
    if not argv:
        raise LookupError("exec failed: args must not be empty")
    path = _look_up(argv[0], environment["PATH"])
    # What Python, this process or whoever started it (nohup) ignores, a command must not inherit. The C library keeps
    # signals 32 and 33 to itself: no program can change those.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    # A pod does not leave core files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.execve(path, argv, environment)


def describe(error: OSError) -> str:
    """Word an error as Go does: without the capital letter."""
    number = error.errno or errno.EIO
    return os.strerror(number)[0].lower() + os.strerror(number)[1:]


def _look_up(name: str, search_path: str) -> str:
    """Find a program as Go's exec.LookPath does."""
    failed = f'exec failed: unable to start container process: exec: "{name}": '
    if "/" in name:
        try:
            Path(name).stat()
        except OSError as exc:
            raise LookupError(f"{failed}stat {name}: {describe(exc)}") from exc
        if not _is_program(name):
            raise LookupError(f"{failed}permission denied")
        return name
    for folder in search_path.split(":"):
        if _is_program(candidate := f"{folder}/{name}"):
            return candidate
    raise LookupError(f"{failed}executable file not found in $PATH")


def _is_program(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & _EXECUTABLE)
