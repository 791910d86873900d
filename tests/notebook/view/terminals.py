"""What a terminal shows of a text: another reading of the rules, one character at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

Cell = tuple[str, str]


@dataclass
class Terminal:
    """Lines of cells, each a character and the colours set since the last reset.

    Of the sequences it knows those that stay within a line; `printed` is all that it showed, with nothing interpreted.
    """

    lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    column: int = 0
    colours: list[str] = field(default_factory=list)

    def show(self, text: str) -> Terminal:
        """Take text that holds whole sequences only."""
        at = 0
        while at < len(text):
            character = text[at]
            if text.startswith("\x1b[", at):
                end = at + 2
                while not "@" <= text[end] <= "~":
                    end += 1
                self._sequence(text[at : end + 1])
                at = end
            elif character == "\n":
                self.lines.append([])
                self.column = 0
            elif character == "\r":
                self.column = 0
            elif character == "\b":
                self.column = max(0, self.column - 1)
            else:
                self._put(character)
            at += 1
        return self

    def _put(self, character: str) -> None:
        line = self.lines[-1]
        line.extend([(" ", "")] * (self.column + 1 - len(line)))
        line[self.column] = (character, "".join(self.colours))
        self.column += 1

    def _sequence(self, sequence: str) -> None:
        line = self.lines[-1]
        match sequence:
            case "\x1b[m" | "\x1b[0m":
                self.colours.clear()
            case "\x1b[K" | "\x1b[0K":
                del line[self.column :]
            case "\x1b[1K":
                line[: self.column + 1] = [(" ", "")] * min(self.column + 1, len(line))
            case "\x1b[2K":
                line.clear()
            case "\x1b[G" | "\x1b[0G" | "\x1b[1G":
                self.column = 0
            case _ if sequence.endswith("m"):
                if sequence in self.colours:
                    self.colours.remove(sequence)
                self.colours.append(sequence)
            case _:
                pass

    @property
    def screen(self) -> list[list[Cell]]:
        """Give the lines without blanks at their ends, which nobody sees."""
        shown = []
        for line in self.lines:
            end = len(line)
            while end and line[end - 1] == (" ", ""):
                end -= 1
            shown.append(line[:end])
        return shown


def browser_text(messages: list[str]) -> str:
    """Give what JupyterLab makes of the messages of one stream: it writes over UTF-16 units, colours counted."""
    units: list[bytes] = []
    at = start = 0
    for message in messages:
        data = message.encode("utf-16-le")
        for unit in (data[i : i + 2] for i in range(0, len(data), 2)):
            if unit == b"\n\0":
                units.append(unit)
                at = start = len(units)
            elif unit == b"\r\0":
                at = start
            else:
                units[at : at + 1] = [unit]
                at += 1
    return b"".join(units).decode("utf-16-le")
