"""What the supervisor adds to a command that does nothing, in turns with the same command without one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.crew import Crew
from tests.bench.load import SHELL

__all__ = ["Supervision", "measure_supervision"]

_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Supervision:
    """Seconds of one `sh -c true` each, with the supervisor and, by `direct=True`, without it."""

    supervised: list[float]
    direct: list[float]


def measure_supervision(crew: Crew) -> Supervision:
    """Run the pairs, each peer first in every other one.

    Raises:
        RuntimeError: If a run failed.
    """
    seconds: dict[str, list[float]] = {"ours": [], "direct": []}
    for number in range(_PAIRS):
        for peer in ("ours", "direct") if number % 2 else ("direct", "ours"):
            measurement = crew.run(peer, SHELL)
            if not measurement.ended:
                raise RuntimeError(f"`sh -c true` failed: {measurement.error or 'cut'}")
            seconds[peer].append(measurement.seconds)
    return Supervision(seconds["ours"], seconds["direct"])
