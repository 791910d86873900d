"""What the server was asked and how it answered, for tests to look at."""

from __future__ import annotations

import threading
from typing import NamedTuple

__all__ = ["MAX_REQUESTS", "Record", "RecordedRequest"]

MAX_REQUESTS = 1000  # a sandbox may run for days, and a path may be a megabyte long


class RecordedRequest(NamedTuple):
    """One request that the server has seen."""

    method: str
    path: str
    """With the query, as it was received."""
    subprotocols: list[str]
    user: str | None
    """None where its credentials were bad."""
    status: int | None = None
    """That of the answer, set before the answer is sent; None until then."""


class Record:
    """The last requests, for every thread. Older ones are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, RecordedRequest] = {}
        self._count = 0

    def add(self, request: RecordedRequest) -> int:
        """Take in a request that has arrived; give its number."""
        with self._lock:
            self._count += 1
            self._requests[self._count] = request
            # They were added in the order of their numbers, one at a time.
            self._requests.pop(self._count - MAX_REQUESTS, None)
            return self._count

    def answer(self, number: int, status: int) -> None:
        """Set a request's status, if it has not been forgotten."""
        with self._lock:
            if number in self._requests:
                self._requests[number] = self._requests[number]._replace(status=status)

    def read(self) -> list[RecordedRequest]:
        """Give the requests in the order in which they arrived."""
        with self._lock:
            return list(self._requests.values())

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._requests.clear()
