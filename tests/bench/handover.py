"""What it costs that one thread reads and another one runs the cell: the minimal loop with and without that."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.crew import Crew
from tests.bench.load import Load
from tests.bench.pairs import run_pairs

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
    alone, handed_over = run_pairs(crew, load, "loop", "handed-over", count=_PAIRS)
    return Handover(load, [one.rate for one in alone], [one.rate for one in handed_over])
