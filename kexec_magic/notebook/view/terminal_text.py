"""From the bytes of one channel to text that a notebook can show, however the bytes are cut."""

from __future__ import annotations

from kexec_magic.execution.output import IncrementalText
from kexec_magic.notebook.view.control_sequences import ControlSequences
from kexec_magic.notebook.view.open_line import OpenLine
from kexec_magic.notebook.view.overwritten import OverwrittenBytes

__all__ = ["TerminalText"]


class TerminalText:
    """Decodes a channel, keeps colours, follows what is written over, and drops all other control sequences.

    `feed` gives the lines that are finished. The last one waits: `update` gives what it has become, as often as the
    caller wants it shown, and `finish` its end. All of it is to be written in the order in which it is given.
    """

    def __init__(self) -> None:
        self._overwritten = OverwrittenBytes()
        self._decoder = IncrementalText()
        self._sequences = ControlSequences()
        self._line = OpenLine()

    def feed(self, data: bytes) -> str:
        """Take the next bytes; give the text of the lines that they finish."""
        return self._take(self._decoder.decode(self._overwritten.strip(data)))

    def has_update(self, *, overwriting: bool) -> bool:
        """Whether the unfinished line has changed; without `overwriting`, only if what is shown of it still holds."""
        return self._line.has_news and (overwriting or not self._line.is_overwritten)

    @property
    def is_overwritten(self) -> bool:
        """Whether the next update will begin with a carriage return."""
        return self._line.is_overwritten

    def update(self) -> str:
        """Give what the unfinished line has become since it was shown last."""
        return self._line.take()

    def interrupt(self) -> None:
        """Take that a newline of the caller's has ended the unfinished line in the notebook."""
        self._line.interrupt()

    def finish(self) -> str:
        """Give the rest at the end of the stream, without a newline where the command wrote none."""
        return self._take(self._decoder.finish()) + self._line.take()

    def _take(self, text: str) -> str:
        out: list[str] = []
        line = self._line
        for token in self._sequences.tokens(text):
            match token[0], token[-1]:
                case "\x1b", "m":
                    line.colour(token)
                case "\x1b", _:
                    line.erase(token)
                case "\r", _:
                    line.carriage_return()
                case "\b", _:
                    line.backspace()
                case _:
                    self._write(token, out)
        return "".join(out)

    def _write(self, text: str, out: list[str]) -> None:
        line = self._line
        first, newline, rest = text.partition("\n")
        out.append(line.write(first))
        if not newline:
            return
        out.append(line.end())
        # Whole lines need no cells: nothing can be written over any more.
        whole, newline, last = rest.rpartition("\n")
        if newline:
            out.append(line.painted(whole + newline))
        out.append(line.write(last))
