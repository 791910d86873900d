"""What a command reads: bytes, a file, or a stream that somebody goes on writing to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from kexec_magic.errors import OptionError

__all__ = ["InputStream", "Stdin", "as_stdin", "counted", "pieces", "typed"]

Stdin = bytes | Iterable[bytes]
"""Bytes, or pieces of them as they come; an empty piece says that there is nothing yet."""

_PIECE = 256 * 1024

_END_OF_INPUT = b"\x04"  # ^D, where a terminal has not been told otherwise

# How often a stream that gives nothing lets its reader look at whether it is still wanted, in seconds.
_TICK = 0.2


class InputStream:
    """Input that is written while the command runs, from any thread; `close` ends it."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()

    def write(self, data: str | bytes) -> None:
        """Give the command more to read, str as UTF-8."""
        piece = data.encode() if isinstance(data, str) else bytes(data)
        if piece:
            self._pieces.put(piece)

    def close(self) -> None:
        """Let the command find the end of its input after what was written."""
        self._pieces.put(None)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._pieces.get(timeout=_TICK)
            except Empty:
                yield b""
                continue
            if piece is None:
                return
            yield piece


def as_stdin(value: object) -> Stdin | None:
    """Give a command's input from what people have at hand.

    Args:
        value: None, str (as UTF-8), bytes, a Path to a file, an open file, an InputStream, or anything with a `to_csv`,
            such as a DataFrame.

    Raises:
        OptionError: If it is something else, or a path that cannot be read.
    """
    to_csv: Any = getattr(value, "to_csv", None)
    match value:
        case None | bytes():
            return value
        case str():
            return value.encode("utf-8", "surrogateescape")
        case bytearray() | memoryview():
            return bytes(value)
        case InputStream():
            return value
        case os.PathLike():
            path = Path(value)
            if not path.is_file():
                raise OptionError(
                    f"there is no file {path} to read input from", hint="text itself is a str, not a Path"
                )
            return _read(path)
    if callable(to_csv):
        return str(to_csv(index=False)).encode()
    if hasattr(value, "read"):
        return _read(value)
    raise OptionError(
        f"a {type(value).__name__} is no input",
        hint="give str, bytes, a pathlib.Path, an open file, an InputStream, or something with to_csv",
    )


def pieces(source: Stdin) -> Iterable[bytes]:
    """Give input piece by piece; the command finds its end by other means."""
    return [source] if isinstance(source, bytes) else source


def counted(source: Stdin) -> Iterator[bytes]:
    """Give input with the size of each piece before it, and a size of 0 at the end."""
    for piece in pieces(source):
        if piece:
            yield b"%d\n" % len(piece)
        yield piece
    yield b"0\n"


def typed(source: Stdin) -> Iterator[bytes]:
    """Give input as it is typed: on a terminal ^D ends a line that has begun, and at the start of one the input."""
    last = b"\n"
    for piece in pieces(source):
        yield piece
        last = piece[-1:] or last
    yield _END_OF_INPUT if last == b"\n" else _END_OF_INPUT * 2


def _read(source: Any) -> Iterator[bytes]:
    if isinstance(source, os.PathLike):
        with Path(source).open("rb") as file:
            yield from _read(file)
        return
    while piece := source.read(_PIECE):
        yield piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else bytes(piece)
