"""The supervisor's marks in a channel: a record separator, the run's nonce, words, a record separator."""

from __future__ import annotations

__all__ = ["Stripper"]

_RS = b"\x1e"
# A mark is told with one write of less than PIPE_BUF; only the list of what was found can be longer.
_MAX_MARK = 64 * 1024


class Stripper:
    """Takes the marks out of one channel, however they are cut.

    Args:
        nonce: What tells the run's marks from anything else.
    """

    def __init__(self, nonce: bytes) -> None:
        self._start = _RS + nonce + b" "
        self._held = b""

    def passes(self, data: bytes) -> bool:
        """Whether a piece of output has nothing to do with any mark, as nearly all of it."""
        return not self._held and _RS not in data

    def strip(self, data: bytes) -> list[bytes | list[str]]:
        """Give output as bytes and marks as their words, in order; hold back what may be the beginning of a mark."""
        data = self._held + data
        self._held = b""
        given: list[bytes | list[str]] = []
        while data:
            at = data.find(self._start)
            end = data.find(_RS, at + len(self._start)) if at >= 0 else -1
            if end < 0:
                keep = at if at >= 0 and len(data) - at <= _MAX_MARK else len(data) - self._beginning(data)
                data, self._held = data[:keep], data[keep:]
                return [*given, data] if data else given
            if at:
                given.append(data[:at])
            given.append(data[at + len(self._start) : end].decode("ascii", "replace").split())
            data = data[end + 1 :]
        return given

    def rest(self) -> bytes:
        """Give what is held back; it was no mark."""
        held, self._held = self._held, b""
        return held

    def _beginning(self, data: bytes) -> int:
        """Count the bytes at the end that a mark may begin with."""
        at = data.rfind(_RS, max(0, len(data) - len(self._start)))
        return len(data) - at if at >= 0 and self._start.startswith(data[at:]) else 0
