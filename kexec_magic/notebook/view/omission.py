"""What a notebook is not shown of a channel: how much it is, and its last lines."""

from __future__ import annotations

from collections import deque

from kexec_magic.notebook.view.terminal_text import TerminalText

__all__ = ["Omission"]

# The tail: about a screen of lines.
_LINES = 40
_BYTES = 8 * 1024


class Omission:
    """The bytes of one channel from some place on: their number, and the last of them."""

    def __init__(self) -> None:
        self.size = 0
        self.lines = 0
        self._last: deque[bytes] = deque()
        self._kept = 0

    def add(self, data: bytes, *, size: int | None = None) -> None:
        """Take what follows. `size` is what it was in the pod, where what is given has been collapsed."""
        self.size += len(data) if size is None else size
        self.lines += data.count(b"\n")
        self._last.append(data)
        self._kept += len(data)
        while self._kept - len(self._last[0]) >= _BYTES:
            self._kept -= len(self._last.popleft())

    def extend(self, later: Omission) -> None:
        """Take what another one has left out after this one."""
        lines = self.lines + later.lines
        self.add(b"".join(later._last), size=later.size)
        self.lines = lines

    def whole(self) -> bytes | None:
        """Give all of it where it is no more than a tail, else None."""
        return b"".join(self._last) if self.size == self._kept <= _BYTES else None

    def take_tail(self) -> str:
        """Give the last lines, which then no longer count as left out."""
        tail = _last_lines(b"".join(self._last))
        self._last.clear()
        self.size -= len(tail)
        self.lines -= tail.count(b"\n")
        text = TerminalText()
        return text.feed(tail) + text.finish()


def _last_lines(data: bytes) -> bytes:
    data = data[-_BYTES:]
    lines = data.split(b"\n")
    ends = data.endswith(b"\n")
    first = max(0, len(lines) - _LINES - ends)
    # The first one is cut, unless it is all there is.
    if first == 0 and len(lines) > 1 + ends:
        first = 1
    last = b"\n".join(lines[first:])
    return last if first else _from_a_character_on(last)


def _from_a_character_on(data: bytes) -> bytes:
    return data[next((at for at in range(min(4, len(data))) if data[at] & 0xC0 != 0x80), 0) :]
