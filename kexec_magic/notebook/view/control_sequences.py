"""What a command writes to a terminal, taken apart: text, what moves or colours it, and the rest, which is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["ControlSequences"]

# ECMA-48, with bounds where it has none, so that a binary file cannot hide what follows its first ESC [. What is
# longer is no sequence: the bytes up to the bound are dropped, the others are text.
_BODY = r"[0-?]{0,64}[ -/]{0,4}"
_TOKEN = re.compile(
    rf"""
      (?P<text>    [^\x00-\x08\x0b-\x1f\x7f-\x9f]+ )
    | (?P<move>    [\r\b] )
    | (?P<csi>     (?:\x1b\[|\x9b) (?P<body>{_BODY}) (?P<final>[@-~]) )
    | (?P<string>  \x1b[\]PX^_] | [\x90\x98\x9d-\x9f] )
    | (?P<cut>     (?: \x1b (?: \[{_BODY} | [ -/]{{1,4}} )? | \x9b{_BODY} ) \Z )
    | (?P<dropped> (?:\x1b\[|\x9b) {_BODY} | \x1b[ -/]{{0,4}}[0-~]? | [\x00-\x1f\x7f-\x9f] )
    """,
    re.VERBOSE,
)

# A title, a link or a picture ends with ST or BEL; so that one without an end cannot hide all that follows, a line's
# end ends it, too. CAN and SUB cancel it.
_END_OF_STRING = re.compile(r"[\x07\x18\x1a\x9c]|\x1b\\|(?=\n)|(?=\x1b.)|(?P<cut>\x1b\Z)", re.DOTALL)

_COLOURS = re.compile(r"[0-9;:]*")


class ControlSequences:
    """Takes text cut anywhere, and gives its tokens.

    A token is one of: text that holds no control characters but newlines and tabs; `\\r`; `\\b`; `\\x1b[...m`, which
    sets colours; `\\x1b[K`, `\\x1b[1K` or `\\x1b[2K`, which erase to the line's end, from its start, or all of it.
    """

    def __init__(self) -> None:
        self._held = ""
        self._in_string = False

    def tokens(self, text: str) -> Iterator[str]:
        """Give the tokens of the next piece; a sequence that is not whole yet waits for the piece after it."""
        text = self._held + text
        self._held = ""
        position = 0
        while position < len(text):
            if self._in_string:
                end = _END_OF_STRING.search(text, position)
                if end is None:
                    return
                if end["cut"]:
                    self._held = "\x1b"
                    return
                self._in_string = False
                position = end.end()
                continue
            token = _TOKEN.match(text, position)
            assert token is not None, "every character begins a token"
            position = token.end()
            match token.lastgroup:
                case "text" | "move":
                    yield token[0]
                case "csi":
                    meaning = _meaning(token["body"], token["final"])
                    if meaning:
                        yield meaning
                case "string":
                    self._in_string = True
                case "cut":
                    self._held = token[0]


def _meaning(body: str, final: str) -> str:
    """Give the token that a control sequence stands for; '' for those that a line of text cannot follow."""
    if final == "m" and _COLOURS.fullmatch(body):
        return f"\x1b[{body}m"
    if final == "K" and body in ("", "0", "1", "2"):
        return f"\x1b[{body.strip('0')}K"
    if final == "G" and body in ("", "0", "1"):  # to the first column: npm's bars return by this
        return "\r"
    return ""
