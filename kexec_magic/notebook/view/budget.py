"""How much a kernel may send to its notebook: one token bucket for all that writes, and a share for each cell."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kexec_magic.wire.channels import Channel

__all__ = ["NOTEBOOK", "TERMINAL", "Allowance", "Budget", "Rates", "cost_of", "wire_size"]

# Header, parent header and framing of one stream message; measured at 700 to 800 bytes.
_MESSAGE = 1000

# What a line costs beside its bytes. A page pays for lines, too: on two busy cores JupyterLab 4.6 stood still for 50 s
# over the head of `yes`, 500,000 lines, and for 3 s over 19,000 longer ones of as many bytes.
_LINE = 30


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes as `cost_of` counts them, and writes, each of which is one message.

    Attributes:
        bytes_per_second: What flows into the bucket.
        burst: What the bucket holds.
        reserve: The part of it that output leaves alone: it is for notes, tails and status lines.
        writes_per_second: Writes that flow in; the same number again may come at once.
        cell: What the output of one cell may come to.
        channel: What each channel may send after that, so that a flood on one does not silence the other.
    """

    bytes_per_second: int
    burst: int
    reserve: int
    writes_per_second: int
    cell: int
    channel: int


# jupyter_server drops every message, errors and results too, once a window of 3 s holds 3 MB of streams, the default.
# 1.35 MB + 3 * 0.45 MB stays below that with the reserve spent; a cell, with tails and the last piece, below 2 MB.
NOTEBOOK = Rates(
    bytes_per_second=450_000, burst=1_350_000, reserve=150_000, writes_per_second=10, cell=1_500_000, channel=150_000
)

# No server stands between a terminal and its reader, and a slow one slows the command down.
_UNBOUNDED = 10**18
TERMINAL = Rates(_UNBOUNDED, _UNBOUNDED, 0, _UNBOUNDED, _UNBOUNDED, _UNBOUNDED)


def wire_size(text: str) -> int:
    """Count the bytes of a text in a message, where it is JSON: an escape character becomes six."""
    return len(json.dumps(text, ensure_ascii=False).encode())


def cost_of(text: str) -> int:
    """Count what a text takes of a budget: its bytes in a message, and some for each line."""
    return wire_size(text) + _LINE * text.count("\n")


class Budget:
    """The bucket that all runs of a kernel share; any thread may use it.

    Args:
        rates: How much flows.
        clock: Monotonic seconds.
    """

    def __init__(self, rates: Rates = NOTEBOOK, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        self._bytes = float(rates.burst)
        self._writes = float(rates.writes_per_second)
        self._filled = clock()
        self._cell: tuple[str, Allowance] | None = None

    def draw(self, wanted: int) -> int:
        """Give how many of the `wanted` bytes one write of output may have now, and take them; 0: not now."""
        with self._lock:
            self._fill()
            free = int(self._bytes) - self.rates.reserve - _MESSAGE
            if self._writes < 1 or free <= 0:
                return 0
            granted = min(wanted, free)
            self._writes -= 1
            self._bytes -= granted + _MESSAGE
            return granted

    def settle(self, granted: int, used: int) -> None:
        """Say what a write came to: pieces are not cut, so the last may have been longer than the grant."""
        with self._lock:
            self._bytes -= used - granted

    def spend(self, size: int) -> None:
        """Take bytes for a write that cannot wait, whatever is left: a note, a tail, a status line."""
        with self._lock:
            self._fill()
            self._bytes -= size + _MESSAGE

    def allowance(self, cell: str) -> Allowance:
        """Give the share of a cell by the id of its request; runs of the same cell share it."""
        with self._lock:
            if self._cell is None or self._cell[0] != cell:
                self._cell = cell, Allowance(self.rates)
            return self._cell[1]

    def _fill(self) -> None:
        now = self._clock()
        passed, self._filled = now - self._filled, now
        rates = self.rates
        self._bytes = min(rates.burst, self._bytes + passed * rates.bytes_per_second)
        self._writes = min(rates.writes_per_second, self._writes + passed * rates.writes_per_second)


class Allowance:
    """What one cell may still show."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._lock = threading.Lock()
        self._spent = {Channel.STDOUT: 0, Channel.STDERR: 0}

    def has_room(self, channel: Channel) -> bool:
        """Whether a channel may go on; what it then sends may go over by one piece."""
        with self._lock:
            return sum(self._spent.values()) < self._rates.cell or self._spent[channel] < self._rates.channel

    def spend(self, channel: Channel, size: int) -> None:
        """Count what is to be shown of a channel."""
        with self._lock:
            self._spent[channel] += size
