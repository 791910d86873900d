"""The captured output of a run: every byte of both channels, in the order of arrival, and text on demand."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from kexec_magic.wire.channels import Channel

__all__ = ["Capture", "IncrementalText"]


class Capture:
    """Both channels of one run. Bytes are kept as they came; nothing is decoded until it is asked for."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Channel, bytes]] = []
        self._joined: dict[Channel, bytes] = {}

    def append(self, channel: Channel, data: bytes) -> None:
        """Add bytes that arrived on STDOUT or STDERR."""
        self._pieces.append((channel, data))
        self._joined.pop(channel, None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing arrived on either channel."""
        return not self._pieces

    def read(self, channel: Channel) -> bytes:
        """Give all that a channel sent."""
        if channel not in self._joined:
            self._joined[channel] = b"".join(data for origin, data in self._pieces if origin is channel)
        return self._joined[channel]

    def size(self, channel: Channel) -> int:
        """Count the bytes of a channel."""
        return sum(len(data) for origin, data in self._pieces if origin is channel)

    def interleaved(self) -> Iterator[tuple[Channel, bytes]]:
        """Give the bytes in the order of arrival, what came of one channel in a row being one piece.

        Between the two channels the order is that of the server's messages, which can differ from that of the
        command's writes: they travel through two pipes.
        """
        run: list[bytes] = []
        current: Channel | None = None
        for channel, data in self._pieces:
            if channel is not current and current is not None:
                yield current, b"".join(run)
                run = []
            current = channel
            run.append(data)
        if current is not None:
            yield current, b"".join(run)


class IncrementalText:
    """Decodes UTF-8 that arrives in pieces cut anywhere: a character is given once, whole, when its last byte is in.

    Bytes that are no UTF-8 become U+FFFD; `finish` gives what a cut character at the end leaves over.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def decode(self, data: bytes) -> str:
        """Decode the next piece; '' as long as only a part of a character is there."""
        return self._decoder.decode(data)

    def finish(self) -> str:
        """Give what is left at the end of the stream."""
        return self._decoder.decode(b"", True)
