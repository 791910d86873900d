"""Ways in which a server can misbehave, for tests.

Give them to `Sandbox.on_exec` and `Sandbox.on_request`; several apply in the order given. Each exec gets a copy of its
own, so that one fault may be registered once and hit many.
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kexec_magic.sandbox.frames import Opcode, encode_frame
from kexec_magic.sandbox.subprotocols import CLOSE, STDOUT

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = [
    "Fault",
    "Refusal",
    "Stall",
    "close_without_status",
    "cut_messages",
    "drop_before_status",
    "drop_connection",
    "empty_message",
    "flood",
    "oversized_message",
    "refuse",
    "refuse_subprotocol",
    "reset",
    "reset_after_status",
    "server_close_message",
    "split_status",
    "stall",
    "status",
    "status_without_causes",
    "stop_reading_stdin",
    "unknown_channel",
]

_PIECE = 32 * 1024
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer instead of what was asked for. Without a length the body ends with the connection."""

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_length: bool = True


class Fault:
    """A server without fault; each kind overrides what it spoils."""

    reads_stdin = True

    def for_one_exec(self) -> Fault:
        """Give a copy with a memory of its own."""
        return copy.copy(self)

    async def requested(self) -> None:
        """Act before a request is answered at all."""

    def refusal(self, offered: list[str]) -> Refusal | None:
        """Decide about a request, given the subprotocols that it offers (none for REST)."""
        return None

    async def opened(self, stream: ExecStream) -> None:
        """Act after the first, empty message and before the command starts."""

    def output(self, stream: ExecStream, channel: int, payload: bytes) -> Iterable[bytes]:
        """Replace the payload of one output message by those of any number."""
        return (payload,)

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        """Replace the last message of the error channel; None stands for the silence of legacy subprotocols."""
        return (payload,)

    async def ending(self, stream: ExecStream) -> None:
        """Act after the Status and before the close frame."""


class _End(Fault):
    """End the connection, once the output has said something."""

    def __init__(self, after: bytes | None, *, by_reset: bool) -> None:
        self._after, self._by_reset = after, by_reset
        self._seen: dict[int, bytes] = {}

    def for_one_exec(self) -> Fault:
        return _End(self._after, by_reset=self._by_reset)

    async def opened(self, stream: ExecStream) -> None:
        if self._after is None:
            self._end(stream)

    def output(self, stream: ExecStream, channel: int, payload: bytes) -> Iterable[bytes]:
        seen = self._seen.get(channel, b"")
        at = -1 if self._after is None else (seen + payload).find(self._after)
        if at < 0 or self._after is None:
            self._seen[channel] = (seen + payload)[-len(self._after or b"x") :]
            yield payload
            return
        yield payload[: at + len(self._after) - len(seen)]
        self._end(stream)

    def _end(self, stream: ExecStream) -> None:
        if self._by_reset:
            stream.reset()
        else:
            stream.drop()


class _EndBeforeStatus(Fault):
    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        stream.drop()
        return ()


class _ResetAfterStatus(Fault):
    async def ending(self, stream: ExecStream) -> None:
        stream.reset()


class _Status(Fault):
    """Send other messages than the Status on the error channel."""

    def __init__(self, *payloads: bytes) -> None:
        self._payloads = payloads

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        return self._payloads


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


class _Refuse(Fault):
    def __init__(self, refusal: Refusal, names: frozenset[str] | None = None) -> None:
        self._refusal, self._names = refusal, names

    def refusal(self, offered: list[str]) -> Refusal | None:
        return self._refusal if self._names is None or self._names & set(offered) else None


class Stall(Fault):
    """A server that says nothing for a while. `release` ends it, from any thread and for good."""

    def __init__(self, seconds: float | None, *, unanswered: bool) -> None:
        self._seconds, self._unanswered = seconds, unanswered
        self._lock = threading.Lock()
        self._released = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def for_one_exec(self) -> Fault:
        return self

    async def requested(self) -> None:
        if self._unanswered:
            await self._wait()

    async def opened(self, stream: ExecStream) -> None:
        if not self._unanswered:
            await self._wait()

    async def _wait(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if self._released:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        try:
            await asyncio.wait_for(event.wait(), self._seconds)
        except TimeoutError:
            pass  # the stall is over as planned

    def release(self) -> None:
        """Let every stalled exec go on, and those to come."""
        with self._lock:
            self._released = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)


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


class _Deaf(Fault):
    reads_stdin = False

    async def opened(self, stream: ExecStream) -> None:
        stream.stop_reading()


def drop_connection(*, after: bytes | None = None) -> Fault:
    """End the TCP connection with neither Status nor close frame: after these bytes of output, or at once."""
    return _End(after, by_reset=False)


def reset(*, after: bytes | None = None) -> Fault:
    """Reset the TCP connection: after these bytes of output, or at once."""
    return _End(after, by_reset=True)


def drop_before_status() -> Fault:
    """Send all output, then end the TCP connection."""
    return _EndBeforeStatus()


def close_without_status() -> Fault:
    """Send all output, then a close frame with code 1000, and no Status."""
    return _Status()


def reset_after_status() -> Fault:
    """Send output and Status, then reset the TCP connection instead of closing it."""
    return _ResetAfterStatus()


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


def stall(seconds: float | None = None, *, unanswered: bool = False) -> Stall:
    """Say nothing after the upgrade, for that long or until released; `unanswered` leaves out even the HTTP answer."""
    return Stall(seconds, unanswered=unanswered)


def stop_reading_stdin() -> Fault:
    """Take nothing from the client after the upgrade."""
    return _Deaf()


def refuse(
    code: int,
    body: str | bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    content_length: bool = True,
) -> Fault:
    """Answer with this HTTP status instead: a redirect, a proxy's page, a 429 with `Retry-After`."""
    content = body.encode() if isinstance(body, str) else body
    return _Refuse(Refusal(code, content, headers or {}, content_length))


def refuse_subprotocol(names: str | Iterable[str], *, code: int = 403) -> Fault:
    """Refuse, without a body, every client that offers one of these names."""
    wanted = frozenset([names] if isinstance(names, str) else names)
    return _Refuse(Refusal(code, content_length=False), wanted)


def _cut(payload: bytes, size: int) -> Iterable[bytes]:
    return (payload[start : start + size] for start in range(0, len(payload), size))
