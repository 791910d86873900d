"""Two peers in turns on one load: whoever comes second finds other caches and other neighbours."""

from __future__ import annotations

from tests.bench.crew import Crew
from tests.bench.load import Load
from tests.bench.measurement import Measurement

__all__ = ["run_pairs"]


def run_pairs(
    crew: Crew, load: Load, one: str, other: str, *, count: int
) -> tuple[list[Measurement], list[Measurement]]:
    """Run so many pairs, each peer first in every other one, and give the measurements of either.

    Raises:
        RuntimeError: If a run did not end, or bytes are missing.
    """
    found: dict[str, list[Measurement]] = {one: [], other: []}
    for number in range(count):
        for peer in (one, other) if number % 2 else (other, one):
            measurement = crew.run(peer, load)
            if not load.is_whole(measurement):
                raise RuntimeError(f"{load.name} failed on {peer}: {measurement.error or 'cut, or bytes are missing'}")
            found[peer].append(measurement)
    return found[one], found[other]
