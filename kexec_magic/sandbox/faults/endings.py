"""Connections that end as they should not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kexec_magic.sandbox.faults.base import Fault
from kexec_magic.sandbox.subprotocols import ERROR

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = [
    "close_without_status",
    "drop_before_status",
    "drop_connection",
    "reset",
    "reset_after_status",
    "succeed_early",
]


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
    return _WithoutStatus()


def reset_after_status() -> Fault:
    """Send output and Status, then reset the TCP connection instead of closing it."""
    return _ResetAfterStatus()


def succeed_early(*, after: bytes) -> Fault:
    """Tell of success and end the connection after these bytes of output (kata-containers #13640)."""
    return _End(after, by_reset=False, status=b'{"metadata":{},"status":"Success"}')


class _End(Fault):
    """End the connection, once the output has said something."""

    def __init__(self, after: bytes | None, *, by_reset: bool, status: bytes = b"") -> None:
        self._after, self._by_reset, self._status = after, by_reset, status
        self._seen: dict[int, bytes] = {}

    def for_one_exec(self) -> Fault:
        return _End(self._after, by_reset=self._by_reset, status=self._status)

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
        if self._status:
            stream.send(ERROR, self._status)
        if self._by_reset:
            stream.reset()
        else:
            stream.drop()


class _EndBeforeStatus(Fault):
    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        stream.drop()
        return ()


class _WithoutStatus(Fault):
    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        return ()


class _ResetAfterStatus(Fault):
    async def ending(self, stream: ExecStream) -> None:
        stream.reset()
