"""Progress bars by the gigabyte: what a line has written over is left out before anybody decodes it."""

from __future__ import annotations

import re

__all__ = ["OverwrittenBytes"]

# Up to here a line is followed to the letter: what a shorter text leaves standing of a longer one stays. Beyond, a
# return starts it afresh, so that only what follows the last return matters. 64 KiB are 800 states of a bar.
_FOLLOWED = 64 * 1024

# Where every byte is a cell, a state as long as an earlier one hides it.
_PLAIN = re.compile(rb"[\t\r -~]*")

# Cancel a sequence that was begun, reset the colours, return, erase the line.
_AFRESH = b"\x18\x1b[m\r\x1b[2K"


class OverwrittenBytes:
    """Takes the bytes of one channel, cut anywhere, and gives those that still matter: of most lines, all."""

    def __init__(self) -> None:
        self._offset = 0  # bytes since the last newline
        self._returned = False  # whether a return waits for what follows; before a newline it means nothing

    def strip(self, data: bytes) -> bytes:
        """Give what matters of the next bytes."""
        if not self._returned and b"\r" not in data:
            newline = data.rfind(b"\n")
            self._offset = self._offset + len(data) if newline < 0 else len(data) - newline - 1
            return data
        parts = []
        start = 0
        while start < len(data):
            newline = data.find(b"\n", start)
            end = len(data) if newline < 0 else newline
            followed = min(end, start + max(0, _FOLLOWED - self._offset))
            parts.append(_without_hidden_states(data[start:followed]))
            parts.append(self._last_state(data[followed:end]))
            self._offset += end - start
            if newline >= 0:
                parts.append(b"\n")
                self._offset, self._returned = 0, False
            start = end + 1
        return b"".join(parts)

    def _last_state(self, data: bytes) -> bytes:
        """Give what a part of a line, beyond its followed bytes, comes to."""
        written = data.rstrip(b"\r")
        is_afresh = bool(written) and (self._returned or b"\r" in written)
        self._returned = len(written) < len(data) or (self._returned and not written)
        return _AFRESH + written[written.rfind(b"\r") + 1 :] if is_afresh else written


def _without_hidden_states(data: bytes) -> bytes:
    if data.count(b"\r") < 2 or not _PLAIN.fullmatch(data):
        return data
    # The first state may begin anywhere in the line; each of the others begins at its start.
    first, *states = data.split(b"\r")
    seen, longest = [], -1
    for state in reversed(states):
        if len(state) > longest:
            seen.append(state)
            longest = len(state)
    return b"\r".join((first, *reversed(seen)))
