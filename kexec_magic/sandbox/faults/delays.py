"""Channels that lag behind the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kexec_magic.sandbox.faults.base import Fault
from kexec_magic.sandbox.subprotocols import ERROR

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = ["delay_channel"]


def delay_channel(channel: int, seconds: float, *, status_waits: bool = True) -> Fault:
    """Hold every message of one channel back against the others; none is lost, and their order stays.

    Args:
        channel: The number of that of stdout or stderr, whose output is held back (not what other faults send of
            their own), or that of the error channel: then only the Status is late.
        seconds: How long each message waits, in memory.
        status_waits: Send the Status after what waits, as a real server does. Else it comes as soon as the command has
            ended, and only the close waits.
    """
    return _DelayStatus(seconds) if channel == ERROR else _DelayOutput(channel, seconds, status_waits)


class _DelayOutput(Fault):
    def __init__(self, channel: int, seconds: float, status_waits: bool) -> None:
        self._channel, self._seconds, self._status_waits = channel, seconds, status_waits
        self._waiting: deque[bytes] = deque()
        self._sent = asyncio.Event()

    def for_one_exec(self) -> Fault:
        return _DelayOutput(self._channel, self._seconds, self._status_waits)

    def output(self, stream: ExecStream, channel: int, payload: bytes) -> Iterable[bytes]:
        if channel != self._channel:
            return (payload,)
        self._sent.clear()
        self._waiting.append(payload)
        # Each timer sends the oldest, whichever that is: timers of one instant run in any order.
        asyncio.get_running_loop().call_later(self._seconds, self._send_oldest, stream)
        return ()

    async def output_ended(self, stream: ExecStream) -> None:
        if self._status_waits:
            await self._all_sent()

    async def ending(self, stream: ExecStream) -> None:
        await self._all_sent()

    def _send_oldest(self, stream: ExecStream) -> None:
        stream.send_output(self._channel, self._waiting.popleft(), after=self)
        if not self._waiting:
            self._sent.set()

    async def _all_sent(self) -> None:
        if self._waiting:
            await self._sent.wait()


class _DelayStatus(Fault):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def output_ended(self, stream: ExecStream) -> None:
        await asyncio.sleep(self._seconds)
