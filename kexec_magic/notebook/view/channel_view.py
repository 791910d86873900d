"""One channel of a run as the notebook sees it: what is written, what waits, and what is left out."""

from __future__ import annotations

from collections import deque

from kexec_magic.notebook.view.budget import Allowance, cost_of
from kexec_magic.notebook.view.omission import Omission
from kexec_magic.notebook.view.terminal_text import TerminalText
from kexec_magic.wire.channels import Channel

__all__ = ["ChannelView"]

# Bytes that are decoded at once. In between it is asked whether there is room for more.
_PIECE = 16 * 1024


class ChannelView:
    """Takes the bytes of one channel, and gives text for as long as its cell has room.

    Args:
        channel: STDOUT or STDERR.
        allowance: What the cell may show.
    """

    def __init__(self, channel: Channel, allowance: Allowance) -> None:
        self._channel, self._allowance = channel, allowance
        self._text = TerminalText()
        # Finished lines that wait to be written: their text, what they cost, and how many bytes they were.
        self._waiting: deque[tuple[str, int, int]] = deque()
        self._textless = 0  # bytes that have come to no line yet
        self.omission: Omission | None = None
        self.is_mid_line = False  # whether what was written last was no newline

    def add(self, data: bytes) -> None:
        """Take bytes, to be written or to be left out."""
        for start in range(0, len(data), _PIECE):
            if self.omission is None and not self._allowance.has_room(self._channel):
                self.omission = Omission()
            if self.omission is not None:
                self.omission.add(data[start:])
                return
            piece = data[start : start + _PIECE]
            self._wait(self._text.feed(piece), size=len(piece))

    @property
    def cost(self) -> int:
        """What the lines that wait would cost."""
        return sum(cost for _, cost, _ in self._waiting)

    @property
    def is_waiting(self) -> bool:
        """Whether finished lines wait."""
        return bool(self._waiting)

    def has_update(self, *, overwriting: bool) -> bool:
        """Whether the unfinished line could be shown as it is now; `overwriting` says whether it may replace text."""
        return self._text.has_update(overwriting=overwriting) and self._allowance.has_room(self._channel)

    @property
    def is_overwritten(self) -> bool:
        """Whether the next update replaces text."""
        return self._text.is_overwritten

    def take(self, granted: int) -> tuple[str, int]:
        """Take lines that wait until they cost what is granted, the last one whole; give them and their cost."""
        texts, total = [], 0
        while self._waiting and total < granted:
            text, cost, _ = self._waiting.popleft()
            texts.append(text)
            total += cost
        return "".join(texts), total

    def update(self) -> tuple[str, int]:
        """Give text that shows the unfinished line as it is now, and its cost."""
        text = self._text.update()
        cost = cost_of(text)
        self._allowance.spend(self._channel, cost)
        return text, cost

    def interrupt(self) -> None:
        """Take that the unfinished line has been ended in the notebook."""
        self._text.interrupt()

    def finish(self) -> None:
        """Take the end of the channel: what is still held waits to be written."""
        if self.omission is None:
            self._wait(self._text.finish(), size=0)
            return
        whole = self.omission.whole()
        if whole is None:
            self._wait(self._text.update(), size=0)
        else:
            # What is no longer than a tail is simply shown.
            self._wait(self._text.feed(whole) + self._text.finish(), size=len(whole))
            self.omission = None

    def give_up(self) -> None:
        """Leave out what still waits."""
        if not self._waiting:
            return
        omission = Omission()
        for text, _, size in self._waiting:
            omission.add(text.encode(), size=size)
        if self.omission is not None:
            omission.extend(self.omission)
        self._waiting.clear()
        self.omission = omission

    def _wait(self, text: str, *, size: int) -> None:
        self._textless += size
        if text:
            cost = cost_of(text)
            self._allowance.spend(self._channel, cost)
            self._waiting.append((text, cost, self._textless))
            self._textless = 0
