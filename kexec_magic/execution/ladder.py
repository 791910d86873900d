"""How a run is stopped: one signal after the other, each with its time to take effect."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kexec_magic.errors import OptionError

__all__ = ["Descent", "Ladder"]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Seconds that each rung is given: after INT, after TERM, and after KILL to confirm that nothing is left."""

    interrupt: float = 3.0
    terminate: float = 3.0
    kill: float = 2.0

    def __post_init__(self) -> None:
        if not all(0 <= seconds < math.inf for seconds in (self.interrupt, self.terminate, self.kill)):
            raise OptionError(f"{self} is no ladder", hint="each rung takes 0 or more seconds")


class Descent:
    """One way down a ladder.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, ladder: Ladder, *, now: float) -> None:
        self._rungs = [("INT", ladder.interrupt), ("TERM", ladder.terminate), ("KILL", ladder.kill)]
        self._until = now
        self.signal = ""

    @property
    def is_at_the_end(self) -> bool:
        """Whether there is no further signal to send."""
        return not self._rungs

    def is_due(self, now: float) -> bool:
        """Whether the present rung has had its time."""
        return now >= self._until

    def step(self, now: float) -> str:
        """Give the next signal to send, at its own time or because somebody is in a hurry."""
        self.signal, seconds = self._rungs.pop(0)
        self._until = now + seconds
        return self.signal
