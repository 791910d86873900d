"""Messages that a server does not send, or sends otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kexec_magic.sandbox.faults.base import Fault
from kexec_magic.sandbox.frames import Opcode, encode_frame
from kexec_magic.sandbox.subprotocols import CLOSE, STDOUT

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = [
    "cut_messages",
    "empty_message",
    "flood",
    "oversized_message",
    "server_close_message",
    "split_status",
    "status",
    "status_without_causes",
    "unknown_channel",
]

_PIECE = 32 * 1024
_MIB = 1024 * 1024


def status(text: str) -> Fault:
    """Send this text instead of the Status."""
    return _Status(text.encode())


def status_without_causes() -> Fault:
    """Leave out of the Status what holds the exit code."""
    return _WithoutCauses()


def split_status(pieces: int) -> Fault:
    """Send the Status in so many messages."""
    return _Cut(None, pieces=pieces)


def cut_messages(size: int) -> Fault:
    """Cut output into payloads of this many bytes: of 1, every other character is split."""
    return _Cut(size)


def empty_message(channel: int | None = None) -> Fault:
    """Send a message without payload on a channel; without a channel, a WebSocket message of no bytes at all."""
    return _Send(channel)


def unknown_channel(channel: int = 9) -> Fault:
    """Send a message on a channel that does not exist."""
    return _Send(channel, b"what is this?")


def server_close_message(channel: int = STDOUT) -> Fault:
    """Send the v5 close signal, which only clients send, for a channel."""
    return _Send(CLOSE, bytes((channel,)))


def oversized_message(mebibytes: int) -> Fault:
    """Send one message of that much standard output."""
    return _Send(STDOUT, b"x" * (mebibytes * _MIB))


def flood(size: int) -> Fault:
    """Send this many bytes of standard output as fast as the client takes them, before the command's own."""
    return _Flood(size)


class _Status(Fault):
    """Send something else than the Status on the error channel."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        return (self._payload,)


class _WithoutCauses(Fault):
    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        status = json.loads(payload or b"{}")
        status.get("details", {}).pop("causes", None)
        return (json.dumps(status).encode(),)


class _Cut(Fault):
    def __init__(self, size: int | None, *, pieces: int = 0) -> None:
        self._size, self._pieces = size, pieces

    def output(self, stream: ExecStream, channel: int, payload: bytes) -> Iterable[bytes]:
        return (payload,) if self._size is None else _cut(payload, self._size)

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        if not self._pieces or payload is None:
            return super().final(stream, payload)
        return _cut(payload, -(-len(payload) // self._pieces))


class _Send(Fault):
    """Send something of its own before the command's output."""

    def __init__(self, channel: int | None, payload: bytes = b"") -> None:
        self._channel, self._payload = channel, payload

    async def opened(self, stream: ExecStream) -> None:
        if self._channel is None:
            stream.send_raw(encode_frame(Opcode.BINARY, b""))
        else:
            stream.send(self._channel, self._payload)
            await stream.drain()


class _Flood(Fault):
    def __init__(self, size: int) -> None:
        self._size = size

    async def opened(self, stream: ExecStream) -> None:
        line = b"0123456789abcde\n"
        piece = line * (_PIECE // len(line))
        for start in range(0, self._size, _PIECE):
            if stream.gone.done():
                return
            stream.send(STDOUT, piece[: min(_PIECE, self._size - start)])
            await stream.drain()


def _cut(payload: bytes, size: int) -> Iterable[bytes]:
    return (payload[start : start + size] for start in range(0, len(payload), size))
