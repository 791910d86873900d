"""The workers, as the benchmark sees them: started when first needed, ended at the time limit, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import BinaryIO, Self, cast

from tests.bench.load import SWEEP, TRUE, Load
from tests.bench.measurement import Measurement

__all__ = ["LIMIT", "Crew"]

LIMIT = 120.0
"""Seconds that a run may take."""

_ROOT = Path(__file__).parents[2]


class Crew:
    """One warm worker process for every peer.

    Args:
        kubeconfig: Where all of them connect.
        namespace: The pod's namespace.
        pod: Where their commands run.
        on_progress: Told a peer's name and its bytes so far, every half second of a run.
    """

    def __init__(self, kubeconfig: str, namespace: str, pod: str, on_progress: Callable[[str, int], None]) -> None:
        self._place = (kubeconfig, namespace, pod)
        self._on_progress = on_progress
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._has_leftovers = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._has_leftovers:
            self.run("kubectl", SWEEP)
        for peer in list(self._workers):
            self._end(peer)

    def run(self, peer: str, load: Load) -> Measurement:
        """Run a load on a warm peer and give what came of it, within the limit whatever the peer does."""
        if peer not in self._workers:
            self._workers[peer] = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.worker", peer, *self._place],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_ROOT,
                start_new_session=True,  # so that kubectl ends together with its worker
            )
            warmed = self._ask(peer, TRUE)
            if not warmed.ended:
                return warmed
        measurement = self._ask(peer, load)
        if not measurement.ended:
            self._has_leftovers = True
        return measurement

    def _ask(self, peer: str, load: Load) -> Measurement:
        worker = self._workers[peer]
        commands, answers = cast("BinaryIO", worker.stdin), cast("BinaryIO", worker.stdout)
        started, count = time.monotonic(), 0
        alarm = Timer(LIMIT, _kill, [worker])
        alarm.start()
        try:
            # In one write, unbuffered: nothing is left over that closing the pipe would try to send once more.
            commands.write(json.dumps({"argv": load.argv}).encode() + b"\n")
            for line in answers:
                message = json.loads(line)
                if "seconds" in message:
                    return Measurement(**message)
                count = message["count"]
                self._on_progress(peer, count)
        except BrokenPipeError:
            pass  # it ended between two commands; its exit status is told below
        finally:
            alarm.cancel()
        self._end(peer)
        seconds = time.monotonic() - started
        if seconds >= LIMIT:
            return Measurement(count, seconds, cut=True)
        return Measurement(count, seconds, error=f"its process ended with {worker.returncode}")

    def _end(self, peer: str) -> None:
        worker = self._workers.pop(peer)
        _kill(worker)
        with worker:
            pass


def _kill(worker: subprocess.Popen[bytes]) -> None:
    # Not reaped before `_end`, so that the group's id is still the worker's own.
    if worker.returncode is None:
        os.killpg(worker.pid, signal.SIGKILL)
