"""WebSocket frames as a server writes and reads them, one frame a message.

The library's own WebSocket is not used: it checks what a real API server lets pass, and cannot misbehave on request.
Source: RFC 6455 section 5.2; golang.org/x/net/websocket/hybi.go for what a Kubernetes server does with them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["MAX_PAYLOAD", "Frame", "FrameError", "FrameReader", "Opcode", "accept_key", "encode_frame"]

MAX_PAYLOAD = 32 * 1024 * 1024  # bytes; DefaultMaxPayloadBytes of x/net
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class FrameError(Exception):
    """The client broke RFC 6455; `code` is the close code for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the client's, unmasked."""

    opcode: int
    payload: bytes


def accept_key(key: str) -> str:
    """Answer a client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Give a final, unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


class FrameReader:
    """Turns bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_bytes(self, data: bytes) -> Iterator[Frame]:
        """Take bytes in and give the frames that are whole.

        Raises:
            FrameError: If a frame is not masked or is too long. Read no further.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if not buffer[1] & 0x80:
            raise FrameError(1002, "a client's frames must be masked")
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size > MAX_PAYLOAD:
            raise FrameError(1009, f"a frame of {size} bytes is over the limit of {MAX_PAYLOAD}")
        end = start + 4 + size
        if len(buffer) < end:
            return None
        mask, masked = bytes(buffer[start : start + 4]), buffer[start + 4 : end]
        opcode = buffer[0] & 0x0F
        del buffer[:end]
        return Frame(opcode, _unmask(masked, mask))


def _unmask(masked: bytearray, mask: bytes) -> bytes:
    # As one large number: a thousand times faster than byte by byte.
    size = len(masked)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(masked, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
