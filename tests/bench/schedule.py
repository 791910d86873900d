"""Who runs what, how often, and in which order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tests.bench.crew import Crew
from tests.bench.load import LARGE, SMALL, TRUE, Load
from tests.bench.measurement import Measurement

__all__ = ["LOOP", "OURS", "Results", "measure"]

LOOP, OURS = "loop", "ours"
Results = dict[str, dict[str, list[Measurement]]]
"""Measurements by the peer's name and the load's."""

_OTHERS = {
    TRUE.name: ("kubectl", "official", "kr8s"),
    SMALL.name: ("kubectl", "official", "kr8s"),
    LARGE.name: ("kubectl",),
}
_OTHER_RUNS = 3  # of a load with output; a peer that needs the whole limit runs once


def measure(crew: Crew, loads: list[Load], pairs: int) -> Results:
    """Run every load: ours and the loop in turns, then the others one by one.

    A peer that failed or was cut has no further run of that load.
    """
    results: Results = {}
    for load in loads:
        for turn in _turns(load, pairs):
            for peer in turn:
                runs = results.setdefault(peer, {}).setdefault(load.name, [])
                if all(earlier.ended for earlier in runs):
                    runs.append(crew.run(peer, load))
                    _tell(peer, load, runs[-1])
    return results


def _turns(load: Load, pairs: int) -> Iterator[tuple[str, ...]]:
    for number in range(pairs):
        # Whoever comes second finds other caches and other neighbours: each of the two does, in turns.
        yield (LOOP, OURS) if number % 2 == 0 else (OURS, LOOP)
    for peer in _OTHERS[load.name]:
        for _ in range(pairs if load is TRUE else min(pairs, _OTHER_RUNS)):
            yield (peer,)


def _tell(peer: str, load: Load, measurement: Measurement) -> None:
    words = f"{measurement.seconds * 1000:.0f} ms" if load is TRUE else f"{measurement.rate:.1f} MB/s"
    if not load.is_whole(measurement):
        end = "cut" if measurement.cut else measurement.error or "not what was sent"
        words = f"{measurement.count / 1e6:.1f} MB, {end}"
    print(f"{time.strftime('%H:%M:%S')} {load.name:>7} {peer:<8} {words}", file=sys.stderr, flush=True)
