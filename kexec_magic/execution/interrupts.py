"""Interrupts of a run: SIGINT sets an event, and nothing is torn apart where it happens to arrive."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupts_held"]


@contextmanager
def interrupts_held() -> Iterator[threading.Event]:
    """Give an event that SIGINT sets for as long as the block runs, instead of raising KeyboardInterrupt in it.

    A KeyboardInterrupt can appear between any two bytecodes, also in the middle of storing a message. On threads
    other than the main one Python has no signals, and the event is only what others set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def hold(_number: int, _frame: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield event
    finally:
        # None means a handler that was not installed from Python: it cannot be put back by its name.
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
