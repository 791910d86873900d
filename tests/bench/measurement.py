"""One run of one peer: what arrived, how long it took, and how it ended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Measurement", "Tally"]


class Tally:
    """Counts and hashes the stdout of one run; the only thing that is done with it, the same for every peer."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Take the next bytes, as a file does."""
        self._hash.update(data)
        self.count += len(data)
        return len(data)

    def hexdigest(self) -> str:
        """Give the sha256 of all bytes so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run, as its worker reports it.

    Attributes:
        count: Bytes of stdout.
        seconds: From the call until the peer was sure that the command had ended.
        sha256: Of all bytes; None for a run that did not end.
        exit_code: What the peer learned; None where it learned nothing.
        error: What it raised, in one line; None for a run without an error.
        cut: Whether it was stopped at the time limit.
    """

    count: int
    seconds: float
    sha256: str | None = None
    exit_code: int | None = None
    error: str | None = None
    cut: bool = False

    @property
    def ended(self) -> bool:
        """Whether the run ended by itself and without an error."""
        return self.error is None and not self.cut

    @property
    def rate(self) -> float:
        """MB/s."""
        return self.count / 1e6 / self.seconds
