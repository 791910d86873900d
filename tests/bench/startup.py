"""What `%load_ext kexec_magic` adds to the start of an IPython, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

__all__ = ["Startup", "measure_startup"]

_RUNS = 9
_LIMIT = 60.0  # seconds for one IPython

_BARE = """
from time import perf_counter
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""
_LOADED = f"""{_BARE}
started = perf_counter()
shell.run_line_magic("load_ext", "kexec_magic")
seconds = perf_counter() - started
assert "kexec" in shell.magics_manager.magics["cell"]
print(seconds)
"""


@dataclass(frozen=True, slots=True)
class Startup:
    """Seconds, one figure a process.

    Attributes:
        load: `%load_ext` alone, in an IPython that has started.
        bare: A whole process that starts IPython.
        loaded: A whole process that starts IPython and loads the extension.
    """

    load: list[float]
    bare: list[float]
    loaded: list[float]


def measure_startup() -> Startup:
    """Start IPython without and with the extension, in turns.

    Raises:
        subprocess.CalledProcessError: If one of them fails.
    """
    found = Startup([], [], [])
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "IPYTHONDIR": folder}
        # The first of each writes what the others find: bytecode, and IPython's folder.
        _start(_BARE, environment)
        _start(_LOADED, environment)
        for _ in range(_RUNS):
            found.bare.append(_start(_BARE, environment)[0])
            seconds, printed = _start(_LOADED, environment)
            found.loaded.append(seconds)
            found.load.append(float(printed))
    return found


def _start(program: str, environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=_LIMIT,
    )
    return time.perf_counter() - started, done.stdout
