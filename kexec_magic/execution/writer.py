"""The thread that writes to a connection, so that neither the reader nor the cell ever waits for a slow remote."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread

__all__ = ["Frame", "Writer"]

log = logging.getLogger(__name__)

Frame = tuple[bytes, int]
"""A payload and its opcode."""

# How long `close` waits for a source that gives nothing, such as a file that is another program's output, in seconds.
_PATIENCE = 1.0


@dataclass(slots=True)
class _Repeated:
    frame: Callable[[], Frame]
    interval: float
    at: float


class Writer:
    """Sends frames in the order in which they were posted; the thread begins with the first.

    Args:
        send: Sends one frame, `(payload, opcode)`, however long that takes.
        broken: The exceptions by which `send` says that the connection is over.
        failed: Told of an exception of the frames' own source; after it nothing more is sent.
    """

    def __init__(
        self,
        send: Callable[[bytes, int], object],
        *,
        broken: tuple[type[Exception], ...],
        failed: Callable[[Exception], object],
    ) -> None:
        self._send, self._broken, self._failed = send, broken, failed
        self._outbox: SimpleQueue[Iterator[Frame | None] | None] = SimpleQueue()
        self._repeated: list[_Repeated] = []
        self._thread: Thread | None = None
        self._lock = Lock()
        self._closing = False

    def post(self, frames: Iterator[Frame | None]) -> None:
        """Have frames sent, after what was posted before; returns at once. None is a pause of the source's own."""
        self._outbox.put(frames)
        self._start()

    def repeat(self, frame: Callable[[], Frame], *, interval: float) -> None:
        """Send such a frame every `interval` seconds, between what is posted."""
        self._repeated.append(_Repeated(frame, interval, time.monotonic() + interval))
        self._outbox.put(iter(()))  # wakes the thread, which waits for the next that is due
        self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._write, name="kexec writer", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Send nothing more, from the next frame on."""
        self._closing = True

    def close(self) -> None:
        """Send nothing more, and wait for the thread to end."""
        self.stop()
        if self._thread is not None:
            self._outbox.put(None)
            self._thread.join(_PATIENCE)

    def _write(self) -> None:
        while True:
            now = time.monotonic()
            due = [repeated for repeated in self._repeated if repeated.at <= now]
            for repeated in due:
                repeated.at = now + repeated.interval
            if not self._send_all(repeated.frame() for repeated in due):
                return
            moments = [repeated.at for repeated in self._repeated]
            try:
                frames = self._outbox.get(timeout=max(0.0, min(moments) - now) if moments else None)
            except Empty:
                continue
            if frames is None or not self._send_all(frames):
                return

    def _send_all(self, frames: Iterator[Frame | None]) -> bool:
        """Send what a source gives; False where nothing more can be sent."""
        while not self._closing:
            try:
                frame = next(frames)
            except StopIteration:
                return True
            except Exception as error:  # noqa: BLE001 - the source is the user's: a file that cannot be read
                self._failed(error)
                return False
            try:
                if frame is not None:
                    self._send(*frame)
            except self._broken as error:
                # The reader finds the same end, and tells it; input that nobody takes any more is no error of its own.
                log.debug("writing ended: %s", error)
                return False
        return False
