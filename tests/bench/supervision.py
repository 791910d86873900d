"""What the supervisor adds to a command that does nothing, in turns with the same command without one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.crew import Crew
from tests.bench.load import SHELL
from tests.bench.pairs import run_pairs

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
    supervised, direct = run_pairs(crew, SHELL, "ours", "direct", count=_PAIRS)
    return Supervision([one.seconds for one in supervised], [one.seconds for one in direct])
