"""`python -m kexec_magic.sandbox [--port N] [--kubeconfig FILE] [--old-server] [--no-isolation]`

The first line printed is the kubeconfig's path; it runs until interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from kexec_magic.sandbox.server import Sandbox

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a sandbox in the foreground; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kexec_magic.sandbox", description="A Kubernetes API server to try things on."
    )
    parser.add_argument("--port", type=int, default=0, help="the port; by default a free one")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig; by default a temporary file")
    parser.add_argument("--old-server", action="store_true", help="speak v4 and older only, as Kubernetes 1.20 does")
    parser.add_argument("--no-isolation", action="store_true", help="run the pods' commands as you, in folders")
    options = parser.parse_args(arguments)
    # Both ends of an ordinary run; blocked in every thread to come, so that only the wait below takes them.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    sandbox = Sandbox(
        port=options.port,
        kubeconfig=options.kubeconfig,
        old_server=options.old_server,
        isolate=not options.no_isolation,
    )
    with sandbox:
        print(sandbox.kubeconfig, flush=True)
        print(f"{sandbox.url}: {sandbox.isolation.describe()} Stop with Ctrl-C.", flush=True)
        if not sandbox.isolation.isolated:
            print(f"warning: {sandbox.isolation.describe()}", file=sys.stderr, flush=True)
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main())
