"""Interrupts of a run: SIGINT is counted, and nothing is torn apart where it happens to arrive."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts", "interrupts_held"]


class Interrupts:
    """How often somebody wanted the run to stop: once, or with less and less patience."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Count one more; from a signal handler, or from any thread."""
        self.count += 1


@contextmanager
def interrupts_held() -> Iterator[Interrupts]:
    """Give the interrupts that SIGINT counts for as long as the block runs, instead of raising KeyboardInterrupt in it.

    A KeyboardInterrupt can appear between any two bytecodes, also in the middle of storing a message. On threads
    other than the main one Python has no signals, and only others count.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def hold(_number: int, _frame: FrameType | None) -> None:
        interrupts.add()

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield interrupts
    finally:
        # None means a handler that was not installed from Python: it cannot be put back by its name.
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
