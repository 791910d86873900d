"""The ways in which a run ends before its command does."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

from kexec_magic import Cluster, ExecResult, Outcome
from kexec_magic.execution.connection import ExecConnection
from tests.conftest import Place
from tests.stop.cells import Cell
from tests.stop.pods import wait_until_gone
from tests.stop.proxy import Proxy

__all__ = ["WAYS", "Scene", "proxied"]

# The second interrupt skips what is left of the first rung: without it this one takes longer than the test may.
_PATIENT = 100
_ORPHAN_AFTER = 2
_ROOT = Path(__file__).parents[2]

# TERM, a second, KILL, and the time to look on a busy machine.
_GONE_SECONDS = 5.0


@dataclass(frozen=True)
class Scene:
    """A cell, where it is to run and to be stopped, and the seconds that this takes."""

    cell: Cell
    pod: str
    place: Place
    looker: Cluster
    ladder: tuple[float, float, float] = (0.5, 0.5, 2)
    timeout: float = 2
    gone: float = _GONE_SECONDS

    def is_left(self, *, after: float = 0) -> None:
        """Make sure that nothing of the cell is left in the pod; its end begins in `after` seconds from now."""
        wait_until_gone(self.looker, self.pod, seconds=after + self.gone)


@contextmanager
def proxied(place: Place) -> Iterator[tuple[Proxy, Cluster]]:
    """Have a proxy before a place's server, and a client whose every connection goes through it."""
    server = urlsplit(place.read()["clusters"][0]["cluster"]["server"])
    with (
        Proxy(server.hostname or "", server.port or 443) as proxy,
        Cluster(kubeconfig=place.with_server(proxy.url)) as cluster,
    ):
        yield proxy, cluster


def _interrupted(scene: Scene) -> None:
    def interrupt(_channel: str, _data: bytes) -> None:
        if not seen:
            seen.append(True)
            signal.raise_signal(signal.SIGINT)

    seen: list[bool] = []
    result = scene.looker.run(scene.pod, **scene.cell.arguments(), ladder=scene.ladder, on_output=interrupt)
    _check_stopped(scene, result, Outcome.INTERRUPTED)
    scene.is_left()


def _interrupted_twice(scene: Scene) -> None:
    def interrupt(_channel: str, _data: bytes) -> None:
        if not timers:
            signal.raise_signal(signal.SIGINT)
            timers.append(threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)))
            timers[0].start()

    timers: list[threading.Timer] = []
    # The second SIGINT may come when the first has done it; it would be an interrupt of the test.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        ladder = (_PATIENT, *scene.ladder[1:])
        result = scene.looker.run(scene.pod, **scene.cell.arguments(), ladder=ladder, on_output=interrupt)
        timers[0].join()
    finally:
        signal.signal(signal.SIGINT, before)
    _check_stopped(scene, result, Outcome.INTERRUPTED)
    scene.is_left()


def _timed_out(scene: Scene) -> None:
    result = scene.looker.run(scene.pod, **scene.cell.arguments(), ladder=scene.ladder, timeout=scene.timeout)
    _check_stopped(scene, result, Outcome.TIMED_OUT)
    scene.is_left()


def _check_stopped(scene: Scene, result: ExecResult, outcome: Outcome) -> None:
    _check_output(scene, result)
    assert (result.outcome, result.exit_code) == (outcome, scene.cell.code), result.reason
    assert (result.complete, result.still_running) == (True, ()), result.reason
    assert result.reason is not None
    assert "ended by SIG" in result.reason


def _check_output(scene: Scene, result: ExecResult) -> None:
    # A terminal shows the ^C that was typed.
    assert result.stdout_bytes.removesuffix(b"^C") == scene.cell.output
    assert b"\x1e" not in result.stderr_bytes


def _cut(scene: Scene, cut: Callable[[Proxy], object], **options: Any) -> None:
    """Run a cell through a proxy, do something to it when all of it runs, and see nothing left before the run ends."""
    ready = threading.Event()

    def on_output(_channel: str, _data: bytes) -> None:
        ready.set()

    with proxied(scene.place) as (proxy, cluster), ThreadPoolExecutor(1) as pool:
        future = pool.submit(cluster.run, scene.pod, **scene.cell.arguments(), on_output=on_output, **options)
        try:
            assert ready.wait(20)
            cut(proxy)
            scene.is_left(after=options.get("orphan_after", 0))
        finally:
            proxy.reset()
        result = future.result(20)
    _check_output(scene, result)
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.LOST, None, False)


def _reset(scene: Scene) -> None:
    _cut(scene, Proxy.reset)


def _frozen(scene: Scene) -> None:
    _cut(scene, Proxy.freeze, orphan_after=_ORPHAN_AFTER)


def _closed(scene: Scene) -> None:
    _cut(scene, lambda _proxy: _send_close_frames())


def _send_close_frames() -> None:
    """Close every exec of this process as a WebSocket is closed, between two frames of what is still to be written."""
    for connection in [found for found in gc.get_objects() if isinstance(found, ExecConnection)]:
        if connection._sock is not None and connection._sock.fileno() >= 0:
            connection._writer.post(iter([(b"\x03\xe8", websocket.ABNF.OPCODE_CLOSE)]))


def _killed(scene: Scene) -> None:
    argv = [sys.executable, "-m", "tests.stop.killed", str(scene.place.kubeconfig), scene.pod, scene.cell.name]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=20)
    assert line == scene.cell.output
    scene.is_left()


WAYS: dict[str, Callable[[Scene], None]] = {
    "interrupt": _interrupted,
    "second-interrupt": _interrupted_twice,
    "timeout": _timed_out,
    "reset": _reset,
    "close-frame": _closed,
    "killed": _killed,
    "frozen": _frozen,
}
