"""A TCP proxy before an API server that can do to its connections what networks do; TLS passes through untouched."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

__all__ = ["Proxy"]

# Close at once, with a reset, whatever is still to be sent (socket(7)).
_LINGER = struct.pack("ii", 1, 0)
_SECONDS = 10.0


class Proxy:
    """Listens on the loopback address and passes everything on, as long as it is let.

    Args:
        host: The server's address.
        port: The server's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._ends: set[_End] = set()
        self._frozen = False
        self._server: asyncio.Server | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def reset(self) -> None:
        """Reset every connection, on both sides."""
        self._call(self._reset())

    def freeze(self) -> None:
        """Forward nothing more, in neither direction and on new connections either, and close nothing."""
        self._call(self._freeze())

    def _call(self, what: Coroutine[Any, Any, str]) -> str:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_SECONDS)

    async def _listen(self) -> str:
        self._server = await self._loop.create_server(self._accepted, "127.0.0.1", 0)
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accepted(self) -> _End:
        near, far = _End(self), _End(self)
        near.other, far.other = far, near
        return near

    async def _connect(self, far: _End) -> None:
        try:
            await self._loop.create_connection(lambda: far, self._host, self._port)
        except OSError:
            if far.other is not None:
                far.other.abort()

    def opened(self, end: _End) -> None:
        """Take note of a connection; the other one of the pair is made when the first is there."""
        self._ends.add(end)
        if self._frozen:
            end.pause_reading()
        elif end.other is not None and end.other.transport is None:
            end.pause_reading()
            self._loop.create_task(self._connect(end.other))

    def closed(self, end: _End) -> None:
        """Take note that a connection is no more; without a freeze the other side learns of it."""
        self._ends.discard(end)
        if not self._frozen and end.other is not None and end.other.transport is not None:
            end.other.transport.close()

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is passed on."""
        return self._frozen

    async def _reset(self) -> str:
        self._frozen = False
        for end in list(self._ends):
            end.abort()
        return ""

    async def _freeze(self) -> str:
        self._frozen = True
        for end in self._ends:
            end.pause_reading()
        return ""

    async def _close(self) -> str:
        if self._server is not None:
            self._server.close()
        await self._reset()
        await asyncio.sleep(0)
        return ""


class _End(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.opened(self)
        if not self._proxy.is_frozen and self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if not self._proxy.is_frozen and self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._proxy.closed(self)

    def pause_reading(self) -> None:
        """Take nothing more from this side."""
        if self.transport is not None:
            self.transport.pause_reading()

    def abort(self) -> None:
        """Reset this connection."""
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self.transport.abort()
