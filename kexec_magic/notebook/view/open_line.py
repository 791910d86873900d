"""The last line of a channel, which may still be written over, and what the notebook already shows of it."""

from __future__ import annotations

from itertools import groupby

__all__ = ["OpenLine"]

# What is longer goes out for good: no progress bar is that wide, and a line may be a gigabyte long.
_CELLS = 4096

# Sequences that the colours of one cell may consist of; a command that never resets would pile them up.
_COLOURS = 16

_RESET = "\x1b[0m"


class OpenLine:
    """Cells of a line, each a character with its colours, and a cursor.

    `take` and `end` give text that turns what the notebook shows into what the line is: the new part alone, or, where
    something was written over, `\\r` and the whole line.
    """

    def __init__(self) -> None:
        # Row by row: the characters, and for each the sequences that set its colours.
        self._characters: list[str] = []
        self._styles: list[str] = []
        self._column = 0
        self._colours: tuple[str, ...] = ()
        self._style = ""
        # What the notebook shows, the blanks behind it that hide an older text, and the UTF-16 units of all that.
        self._shown: tuple[list[str], list[str]] = ([], [])
        self._blanks = 0
        self._units = 0
        # Whether the line's beginning has gone out for good, and whether the cursor was to return to it.
        self._is_long = False
        self._has_returned = False

    @property
    def has_news(self) -> bool:
        """Whether the notebook shows something else than the line; the rest of a long one waits for its end."""
        return not self._is_long and (self._characters, self._styles) != self._shown

    @property
    def is_overwritten(self) -> bool:
        """Whether to show the line takes writing over what the notebook shows."""
        characters, styles = self._shown
        count = len(characters)
        if self._blanks and len(self._characters) > count:
            return True
        return self._characters[:count] != characters or self._styles[:count] != styles

    def write(self, text: str) -> str:
        """Put text, without newlines, at the cursor; give what goes out at once because the line is long."""
        out = self.end() if self._has_returned and text else ""
        while text:
            part, text = text[: _CELLS - self._column], text[_CELLS - self._column :]
            self._put(part)
            if self._column == _CELLS:
                out += self.take()
                self._forget()
                self._is_long = True
        return out

    def _put(self, text: str) -> None:
        missing = self._column - len(self._characters)
        if missing > 0:
            self._characters += " " * missing
            self._styles += [""] * missing
        end = self._column + len(text)
        self._characters[self._column : end] = text
        self._styles[self._column : end] = [self._style] * len(text)
        self._column = end

    def painted(self, text: str) -> str:
        """Give whole lines, their newlines included, in the colours at the cursor; nothing of them is kept."""
        if not self._style:
            return text
        # The reset stands before the newline: a browser counts its characters when the next line is written over.
        return "\n".join(f"{self._style}{line}{_RESET}" if line else "" for line in text.split("\n"))

    def carriage_return(self) -> None:
        """Move the cursor to the line's start; after a long line, what is written next begins a new one."""
        self._column = 0
        self._has_returned = self._is_long

    def backspace(self) -> None:
        """Move the cursor one cell back."""
        self._column = max(0, self._column - 1)

    def erase(self, sequence: str) -> None:
        """Erase what `\\x1b[K`, `\\x1b[1K` or `\\x1b[2K` erases; the cursor stays."""
        if self._has_returned:
            return
        if sequence == "\x1b[1K":
            count = min(self._column + 1, len(self._characters))
            self._characters[:count], self._styles[:count] = " " * count, [""] * count
            return
        start = self._column if sequence == "\x1b[K" else 0
        del self._characters[start:], self._styles[start:]

    def colour(self, sequence: str) -> None:
        """Take a sequence that sets colours, or resets them."""
        if sequence in ("\x1b[m", _RESET):
            self._colours = ()
        else:
            others = [other for other in self._colours if other != sequence]
            self._colours = (*others, sequence)[-_COLOURS:]
        self._style = "".join(self._colours)

    def take(self) -> str:
        """Give the text that shows the line as it is."""
        shown = len(self._shown[0])
        if self.is_overwritten:
            text = _paint(self._characters, self._styles)
            # Front ends write over characters, colours counted: a shorter text leaves the old one's end behind.
            blanks = max(0, shown + self._blanks - len(self._characters))
            text += " " * blanks
            text += _RESET * -(-max(0, self._units - _units(text)) // len(_RESET))
            self._blanks = blanks
            self._units = _units(text)
            text = "\r" + text
        else:
            text = _paint(self._characters[shown:], self._styles[shown:])
            self._units += _units(text)
        self._shown = self._characters.copy(), self._styles.copy()
        return text

    def end(self) -> str:
        """End the line; give the text that shows the rest of it, its newline included."""
        text = self.take() + "\n"
        self._forget()
        return text

    def interrupt(self) -> None:
        """Take that something else has ended the line in the notebook; it goes on in a new one."""
        self._shown = [], []
        self._blanks = self._units = 0

    def _forget(self) -> None:
        self._characters, self._styles = [], []
        self._column = 0
        self._is_long = self._has_returned = False
        self.interrupt()


def _paint(characters: list[str], styles: list[str]) -> str:
    """Give cells as text that sets its colours and resets them at its end."""
    text = "".join(characters)
    if not any(styles):
        return text
    parts, start = [], 0
    for style, group in groupby(styles):
        end = start + sum(1 for _ in group)
        parts.append(f"{style}{text[start:end]}{_RESET}" if style else text[start:end])
        start = end
    return "".join(parts)


def _units(text: str) -> int:
    """Count what a browser counts: UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
