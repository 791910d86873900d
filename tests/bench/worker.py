"""One peer in a process of its own: a command a line on stdin, its progress and its end as JSON lines on stdout.

Usage: python -m tests.bench.worker PEER KUBECONFIG NAMESPACE POD
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from dataclasses import asdict
from typing import TextIO

from tests.bench.measurement import Measurement, Tally
from tests.bench.peers import PEERS, Peer

__all__ = ["main"]

_PROGRESS_SECONDS = 0.5


def main(name: str, kubeconfig: str, namespace: str, pod: str) -> None:
    """Run commands until stdin ends."""
    answers = sys.stdout
    # A library that prints must not write between the answers.
    with contextlib.redirect_stdout(sys.stderr):
        peer: Peer | None = None
        for line in sys.stdin:
            started, tally = time.perf_counter(), Tally()
            try:
                peer = peer or PEERS[name](kubeconfig, namespace, pod)
                measurement = _measure(peer, json.loads(line)["argv"], tally, answers)
            except Exception as error:  # noqa: BLE001  (whatever a library raises is its result)
                seconds = time.perf_counter() - started
                words = " ".join(f"{type(error).__name__}: {error}".split())
                measurement = Measurement(tally.count, seconds, error=words[:300])
            _answer(asdict(measurement), answers)


def _measure(peer: Peer, argv: list[str], tally: Tally, answers: TextIO) -> Measurement:
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_PROGRESS_SECONDS):
            _answer({"count": tally.count}, answers)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    started = time.perf_counter()
    try:
        exit_code = peer.run(argv, tally)
        seconds = time.perf_counter() - started
    finally:
        ended.set()
        reporter.join()
    return Measurement(tally.count, seconds, tally.hexdigest(), exit_code)


def _answer(message: dict[str, object], answers: TextIO) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
