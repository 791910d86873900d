"""The captured output of a run: every byte of both channels, in the order of arrival, and text on demand."""

from __future__ import annotations

import codecs
import io
import os
import struct
import tempfile
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from kexec_magic.execution.memory import MemoryBudget, shared_budget
from kexec_magic.execution.quantities import format_size
from kexec_magic.execution.spool import SPOOL_DIR, Spool
from kexec_magic.wire.channels import Channel

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Capture", "CaptureReader", "IncrementalText"]

# What a capture holds is a row of records: a channel, a number of bytes, and those.
_HEADER = struct.Struct("<BI")
_RECORD = 2**31

# How much is read at once: of a row of short records, and of a long one.
_WINDOW = 64 * 1024
_PIECE = 1024 * 1024

_TAIL = 4096

# How far the memory of a run may change before it is counted again.
_UNCOUNTED = 64 * 1024


class Capture:
    """Both channels of one run, byte for byte, as far as there is room; nothing is decoded until it is asked for.

    One thread appends; any may read meanwhile, and finds a beginning of what is to come.

    Args:
        limit: Bytes of both channels together to keep; None for all.
        budget: Whose memory this takes; what goes beyond it is on disk.
    """

    def __init__(self, limit: int | None = None, budget: MemoryBudget | None = None) -> None:
        self._limit = limit
        self._spool = Spool()
        self._budget = budget or shared_budget()
        self._account = self._budget.admit(self._spool)
        # The last record: where it begins, of which channel it is, and how many bytes of it there are.
        self._last: tuple[int, Channel, int] | None = None
        self._kept = dict.fromkeys((Channel.STDOUT, Channel.STDERR), 0)
        self._dropped = dict.fromkeys((Channel.STDOUT, Channel.STDERR), 0)
        self._tails = dict.fromkeys((Channel.STDOUT, Channel.STDERR), b"")
        self.truncated_because = ""

    def append(self, channel: Channel, data: bytes) -> None:
        """Add bytes that arrived on STDOUT or STDERR; after the first that cannot be kept, none is."""
        self._tails[channel] = data[-_TAIL:] if len(data) >= _TAIL else (self._tails[channel] + data)[-_TAIL:]
        kept = b"" if self.truncated_because else self._fitting(data)
        if kept:
            try:
                self._keep(channel, kept)
            except OSError as error:
                self._stop(error)
                kept = b""
            else:
                self._settle(at_least=_UNCOUNTED)
        self._kept[channel] += len(kept)
        self._dropped[channel] += len(data) - len(kept)

    def finish(self) -> None:
        """Take note that nothing more comes."""
        self._settle(at_least=1)

    def _fitting(self, data: bytes) -> bytes:
        """Give the part of it that the limit allows."""
        if self._limit is None:
            return data
        room = self._limit - sum(self._kept.values())
        if len(data) > room:
            self.truncated_because = f"no more than {format_size(self._limit)} were to be kept"
        return data[:room]

    def _keep(self, channel: Channel, data: bytes) -> None:
        self._spool.flush()
        if self._last is not None and self._last[1] is channel:
            offset, _, size = self._last
            # What follows on the same channel lengthens the last record, as long as its header can be reached.
            if size + len(data) <= _RECORD and self._spool.replace(offset, _HEADER.pack(channel, size + len(data))):
                self._spool.append(data)
                self._last = (offset, channel, size + len(data))
                return
        offset = self._spool.size
        self._spool.append(_HEADER.pack(channel, len(data)) + data)
        self._last = (offset, channel, len(data))

    def _settle(self, *, at_least: int) -> None:
        """Have the memory counted that was taken since the last time."""
        if abs(self._spool.in_memory - self._account.held) >= at_least:
            try:
                self._budget.settle(self._account)
            except OSError as error:
                self._stop(error)

    def _stop(self, error: OSError) -> None:
        folder = os.environ.get(SPOOL_DIR) or tempfile.gettempdir()
        self.truncated_because = f"{folder} takes no more: {error.strerror or error}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing arrived on either channel."""
        return not any(self._kept.values()) and not any(self._dropped.values())

    @property
    def truncated(self) -> int:
        """How many bytes arrived and were not kept."""
        return sum(self._dropped.values())

    def dropped(self, channel: Channel) -> int:
        """Count the bytes of a channel that were not kept."""
        return self._dropped[channel]

    def size(self, channel: Channel) -> int:
        """Count the bytes of a channel that were kept."""
        return self._kept[channel]

    def tail(self, channel: Channel) -> bytes:
        """Give the last 4 kB that arrived on a channel, kept or not."""
        return self._tails[channel]

    def read(self, channel: Channel) -> bytes:
        """Give all that was kept of a channel."""
        # BytesIO hands its buffer over, where joining pieces would take the memory twice.
        buffer = io.BytesIO()
        for _, data in self.pieces(channel):
            buffer.write(data)
        return buffer.getvalue()

    def pieces(self, wanted: Channel | None = None) -> Iterator[tuple[Channel, bytes]]:
        """Give the bytes of one channel or both, in the order of arrival, up to 1 MiB at once."""
        offset, end = 0, self._spool.size
        window, start = b"", 0
        while offset < end:
            if not start <= offset <= start + len(window) - _HEADER.size:
                window, start = self._spool.read(offset, _WINDOW), offset
            number, size = _HEADER.unpack_from(window, offset - start)
            offset += _HEADER.size
            channel = Channel(number)
            if wanted is None or channel is wanted:
                for at in range(offset, offset + size, _PIECE):
                    length = min(_PIECE, offset + size - at)
                    seen = window[at - start : at - start + length]
                    yield channel, seen if len(seen) == length else self._spool.read(at, length)
            offset += size

    def interleaved(self) -> Iterator[tuple[Channel, bytes]]:
        """Give the bytes in the order of arrival; what came of one channel in a row is cut only after each 1 MiB.

        Between the two channels the order is that of the server's messages, which can differ from that of the
        command's writes: they travel through two pipes.
        """
        for channel, group in groupby(self.pieces(), key=lambda piece: piece[0]):
            held = bytearray()
            for _, data in group:
                held += data
                while len(held) >= _PIECE:
                    yield channel, bytes(held[:_PIECE])
                    del held[:_PIECE]
            if held:
                yield channel, bytes(held)


class CaptureReader(io.RawIOBase):
    """One channel of a capture as a file to read from its beginning to its end."""

    def __init__(self, capture: Capture, channel: Channel) -> None:
        self._pieces = capture.pieces(channel)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer as far as the next piece goes; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, (None, b""))[1])
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


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
