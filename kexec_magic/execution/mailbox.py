"""What hands events from the thread that reads a connection to the thread that runs the cell."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

_Item = TypeVar("_Item")

# Enough to keep the reader busy while a notebook is being written to, and little enough that a slow screen slows the
# remote command down instead of filling the memory.
_CAPACITY = 8 * 1024 * 1024

# Waking a thread costs more than a message does. After a batch of this many bytes the next one is given this many
# seconds to gather: a flood is handed over 50 times a second, and a lone line at once.
_FLOOD = 128 * 1024
_GATHER = 0.02


class Mailbox(Generic[_Item]):
    """A queue bounded by bytes, taken as a batch: one hand-over between threads for all that has arrived.

    Args:
        capacity: Bytes that may wait before `put` blocks. One item always fits, however large.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._flooded = False
        self._enough = 0  # bytes at which the taking side is woken
        self._urgent = False  # whether something waits that is no output: the end of a run, a note
        self._closed = False
        self._condition = threading.Condition()

    def put(self, item: _Item, *, size: int = 0) -> None:
        """Add an item that stands for `size` bytes; wait while the mailbox is full. After `close` it is dropped."""
        with self._condition:
            while self._bytes and self._bytes + size > self._capacity and not self._closed:
                self._condition.wait()
            if not self._closed:
                self._items.append(item)
                self._bytes += size
                self._urgent = self._urgent or not size
                if self._is_due():
                    self._condition.notify_all()

    def take(self, timeout: float) -> list[_Item]:
        """Take all that waits, oldest first; wait up to `timeout` seconds for the first. Empty after that."""
        with self._condition:
            if self._flooded:
                self._enough = self._capacity // 2
                self._condition.wait_for(self._is_due, min(timeout, _GATHER))
                self._enough = 0
            if not self._items:
                self._condition.wait(timeout)
            items = list(self._items)
            self._items.clear()
            self._flooded = self._bytes > _FLOOD
            self._bytes = 0
            self._urgent = False
            self._condition.notify_all()
            return items

    def _is_due(self) -> bool:
        return self._urgent or self._bytes >= self._enough

    def close(self) -> None:
        """Let the other side go on without us: nothing that it puts from now on is kept."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
