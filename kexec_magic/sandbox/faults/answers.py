"""Servers that refuse, or that neither answer nor listen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kexec_magic.sandbox.faults.base import Fault, Refusal

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = ["Stall", "refuse", "refuse_subprotocol", "stall", "stop_reading_stdin"]


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


def stall(seconds: float | None = None, *, unanswered: bool = False) -> Stall:
    """Say nothing after the upgrade, for that long or until released; `unanswered` leaves out even the HTTP answer."""
    return Stall(seconds, unanswered=unanswered)


def stop_reading_stdin() -> Fault:
    """Take nothing from the client after the upgrade."""
    return _Deaf()


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


class _Refuse(Fault):
    def __init__(self, refusal: Refusal, names: frozenset[str] | None = None) -> None:
        self._refusal, self._names = refusal, names

    def refusal(self, offered: list[str]) -> Refusal | None:
        return self._refusal if self._names is None or self._names & set(offered) else None


class _Deaf(Fault):
    reads_stdin = False

    async def opened(self, stream: ExecStream) -> None:
        stream.stop_reading()
