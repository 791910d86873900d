"""A Jupyter server in a process of its own, for tests that need one between them and a kernel."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["jupyter_server"]

_SECONDS = 60


@contextmanager
def jupyter_server(
    program: Sequence[str], folder: Path, home: Path, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Start one with nobody's settings; give its address, which ends with a slash, and its token.

    Args:
        program: The module to run, with its arguments, as ("jupyter_server",) or ("jupyter", "lab").
        folder: What it serves.
        home: Where it looks for settings.
        environment: Further variables.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", *program, "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
            *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"),
        ],
        env={
            **os.environ,
            "HOME": str(home),
            "JUPYTER_TOKEN": token,
            "JUPYTER_CONFIG_DIR": str(home),
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_until_it_answers(url, process)
        yield url, token
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} instead of starting")
        try:
            with urllib.request.urlopen(f"{url}api", timeout=5):
                return
        except OSError:
            time.sleep(0.2)  # it says that it is running before it listens
    raise TimeoutError(f"the server did not answer within {_SECONDS} s")
