"""What it costs that one thread reads and another one runs the cell: the minimal loop with and without that."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.crew import Crew
from tests.bench.load import Load

__all__ = ["Handover", "measure_handover"]

_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Handover:
    """MB/s of one load, read and taken by one thread, and handed over between two."""

    load: Load
    alone: list[float]
    handed_over: list[float]


def measure_handover(crew: Crew, load: Load) -> Handover:
    """Run the pairs, each first in every other one.

    Raises:
        RuntimeError: If a run failed.
    """
    rates: dict[str, list[float]] = {"loop": [], "handed-over": []}
    for number in range(_PAIRS):
        for peer in ("loop", "handed-over") if number % 2 else ("handed-over", "loop"):
            measurement = crew.run(peer, load)
            if not load.is_whole(measurement):
                raise RuntimeError(f"{peer} failed: {measurement.error or 'bytes are missing'}")
            rates[peer].append(measurement.rate)
    return Handover(load, rates["loop"], rates["handed-over"])
