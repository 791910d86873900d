"""A process that runs one cell, says what arrives, and is killed: `python -m tests.stop.killed KUBECONFIG POD CELL`."""

from __future__ import annotations

import sys

from kexec_magic import Cluster
from tests.stop.cells import CELLS

if __name__ == "__main__":
    kubeconfig, pod, name = sys.argv[1:]

    def show(_channel: str, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    with Cluster(kubeconfig=kubeconfig) as cluster:
        cluster.run(pod, **CELLS[name].arguments(), on_output=show)
