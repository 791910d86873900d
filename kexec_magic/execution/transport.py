"""A connected socket that a reader and a writer thread can share.

OpenSSL does not let two threads use one TLS connection at once: without a lock one exec in fifty ends right after
the upgrade, with an end of stream that the server never sent. So every call is made under one lock and never blocks
inside it: a thread that has to wait polls outside the lock, and only after OpenSSL has asked for it. To poll before
reading would hang on bytes that OpenSSL has already taken from the kernel.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time

__all__ = ["PeerSilent", "SharedSocket"]

# A TLS record is 16 KiB at most, so one read never returns more; small reads are served from what it brought.
_RECORD = 16 * 1024

# How often a waiting thread looks at the deadline and at `abort`, in seconds: an interrupt is noticed within it.
_TICK = 0.2


class PeerSilent(OSError):
    """Nothing arrived for longer than `limit_silence` allows. No TimeoutError: websocket-client replaces those."""


class SharedSocket:
    """The part of a socket's interface that websocket-client uses, safe for one reader and one writer thread.

    Args:
        sock: Connected, with TLS or without; this object owns it from now on.
        deadline: Monotonic time after which a call raises TimeoutError; None waits for ever.
    """

    def __init__(self, sock: socket.socket, *, deadline: float | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()
        self._buffer = b""
        self._position = 0
        self._allowance: int | None = None
        self._aborted = False
        self.deadline = deadline
        self._heard_at = time.monotonic()
        self._silence: float | None = None

    def allow(self, size: int) -> None:
        """Permit `size` more bytes to be read; a read beyond it raises BufferError, before the memory is spent."""
        self._allowance = size

    def limit_silence(self, seconds: float) -> None:
        """Have a read raise PeerSilent where nothing has arrived for so long."""
        self._heard_at, self._silence = time.monotonic(), seconds

    def recv(self, size: int) -> bytes:
        """Read 1 to `size` bytes; b"" at the end of the stream."""
        if self._allowance is not None:
            self._allowance -= size
            if self._allowance < 0:
                raise BufferError("the message is larger than any exec message is")
        available = len(self._buffer) - self._position
        if available:
            data = self._buffer[self._position : self._position + size]
            self._position += len(data)
        elif size >= _RECORD:
            data = self._receive(size)
        else:
            self._buffer = self._receive(_RECORD)
            self._position = min(size, len(self._buffer))
            data = self._buffer[: self._position]
        if self._allowance is not None:
            self._allowance += size - len(data)
        return data

    def _receive(self, size: int) -> bytes:
        while True:
            try:
                with self._lock:
                    data = self._sock.recv(size)
                self._heard_at = time.monotonic()
                return data
            except (ssl.SSLWantReadError, BlockingIOError):
                self._wait(select.POLLIN, silence=self._silence)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send all of `data`, however often the other side makes us wait, and return its length."""
        view = memoryview(data)
        sent = 0
        while sent < len(view):
            try:
                with self._lock:
                    sent += self._sock.send(view[sent:])
            except (ssl.SSLWantWriteError, BlockingIOError):
                self._wait(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
        return sent

    def _wait(self, event: int, *, silence: float | None = None) -> None:
        poll = select.poll()
        descriptor = self._sock.fileno()
        if descriptor >= 0:
            poll.register(descriptor, event)
        while True:
            if self._aborted or descriptor < 0:
                raise ConnectionAbortedError("the connection was given up on this side")
            now = time.monotonic()
            if self.deadline is not None and now >= self.deadline:
                raise TimeoutError("the deadline has passed")
            if silence is not None and now >= self._heard_at + silence:
                raise PeerSilent(f"nothing was heard of the server for {silence:.0f} s")
            if poll.poll(1000 * min(_TICK, _TICK if self.deadline is None else self.deadline - now)):
                return

    def abort(self) -> None:
        """Make every waiting or later call of any thread fail; the TCP connection ends at once."""
        self._aborted = True
        try:
            # Past SSLSocket's own shutdown, which drops the TLS object that the reader may be using.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            pass  # not connected any more, which is all that was wanted

    def close(self) -> None:
        """Free the socket."""
        self._aborted = True
        with self._lock:
            self._sock.close()

    def gettimeout(self) -> None:
        """Tell websocket-client to leave all waiting to this object."""

    def fileno(self) -> int:
        """Give the descriptor, for websocket-client's own bookkeeping."""
        return self._sock.fileno()
