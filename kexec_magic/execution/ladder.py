"""How a run is stopped: one signal after the other, each with its time to take effect."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kexec_magic.errors import OptionError

__all__ = ["TYPED", "Descent", "Ladder"]

TYPED = "^C"
"""An INT that is typed on a terminal."""


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
        typed: Whether to type ^C first, and send INT when half of its time has passed: a terminal need not make a
            signal of ^C, and a shell that has just forked can lose that.
        now: Monotonic seconds.
    """

    def __init__(self, ladder: Ladder, *, typed: bool, now: float) -> None:
        self._rungs = [("INT", ladder.interrupt), ("TERM", ladder.terminate), ("KILL", ladder.kill)]
        if typed:
            self._rungs[:1] = [(TYPED, ladder.interrupt / 2), ("INT", ladder.interrupt / 2)]
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
        """Give the next signal to send, or TYPED, at its own time or because somebody is in a hurry."""
        step, seconds = self._rungs.pop(0)
        self.signal = "INT" if step is TYPED else step
        self._until = now + seconds
        return step
