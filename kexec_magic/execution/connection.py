"""One exec WebSocket: opened, read, and written to where there is something to write.

Besides `upgrade` this is the only module that knows websocket-client, which is used for the handshake and for framing
alone; its own dialling, redirects, proxies, tracing and event loop stay unused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock

import websocket

from kexec_magic.cluster.dialer import Dialer
from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.targets import Target
from kexec_magic.errors import ApiError, ProtocolError
from kexec_magic.execution.handshake import Attempt
from kexec_magic.execution.transport import SharedSocket
from kexec_magic.execution.upgrade import SubprotocolRefused, upgrade
from kexec_magic.execution.writer import Frame, Writer
from kexec_magic.wire.channels import Subprotocol
from kexec_magic.wire.protocol import MAX_MESSAGE, Event, ExecProtocol

__all__ = ["ExecConnection"]

log = logging.getLogger(__name__)

# A server waits 32 s for a header (apiserver secure_serving.go); an upgrade that takes longer will not come.
_HANDSHAKE_SECONDS = 30.0

# After a Status servers close at once; other runtimes get this long, in seconds, to send what they still hold.
_AFTER_STATUS_SECONDS = 2.0

# Proxies and load balancers drop a connection on which nothing moves, some after less than a minute; pings are answered
# by the server as soon as it reads.
PING_SECONDS = 10.0

# Servers end an exec after 4 h in which neither side sent a message, whatever pings there were (apiserver wsstream): an
# empty message, without even a channel, starts that time anew and means nothing.
EMPTY_MESSAGE_SECONDS = 60.0

# A server that reads, and is not heard of for so long, is gone. Together with a ping on its way that is under a minute.
SILENCE_SECONDS = 50.0

# A frame header is 14 bytes at most (RFC 6455, 5.2).
_FRAME_HEADER = 14

_BINARY = websocket.ABNF.OPCODE_BINARY
_BROKEN = (websocket.WebSocketException, OSError)
_CLOSE, _PING, _PONG = websocket.ABNF.OPCODE_CLOSE, websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG


class ExecConnection:
    """One exec. `open` it and iterate over `events` on one thread; `abort` and the writing calls may come from others.

    Args:
        dialer: Where and as whom to connect.
        target: The pod and container, already resolved.
        deadline: Monotonic time by which the upgrade must be done; None leaves it at 30 s.
        on_exchange: Told of every upgrade request and its answer, on the thread that opens.
        on_failure: Told of an exception of what `write` was given to read, on the thread that writes.
    """

    def __init__(
        self,
        dialer: Dialer,
        target: Target,
        *,
        deadline: float | None = None,
        on_exchange: Callable[[Exchange], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self._dialer = dialer
        self._target = target
        self._deadline = deadline
        self._on_exchange = on_exchange
        self._ws: websocket.WebSocket | None = None
        self._sock: SharedSocket | None = None
        self._protocol: ExecProtocol | None = None
        self._writer = Writer(self._send, broken=_BROKEN, failed=on_failure or self._report)
        self._lock = Lock()
        self._aborted = False
        self.lost_because = ""

    def open(self, attempts: Sequence[Attempt]) -> Attempt:
        """Make the handshakes one after the other until one is accepted, and give that one.

        Only a refused subprotocol leads to the next attempt: after any other answer a second try would be a second
        run, or would hide the reason.

        Raises:
            KexecError: Why the server did not accept; nothing has run.
        """
        for attempt in attempts[:-1]:
            try:
                return self._upgrade(attempt)
            except SubprotocolRefused as refused:
                log.debug("%s; trying the next", refused)
        try:
            return self._upgrade(attempts[-1])
        except SubprotocolRefused as refused:
            # A container or pod that cannot run is told without a Status too, by servers of every age.
            if not isinstance(refused.diagnosis, ApiError):
                raise refused.diagnosis from None
            raise ProtocolError(
                f"no subprotocol that kexec_magic speaks was taken: {refused.diagnosis.message}",
                hint="a proxy in front of the API server may not let WebSockets through; `-v` shows the requests",
            ) from None

    @property
    def subprotocol(self) -> Subprotocol:
        """What was agreed on; only after `open`."""
        return self._opened().subprotocol

    @property
    def has_reached_server(self) -> bool:
        """Whether a server was there to be asked for the exec, whatever it answered."""
        return self._sock is not None

    def _opened(self) -> ExecProtocol:
        if self._protocol is None:
            raise RuntimeError("the connection is not open")
        return self._protocol

    def _upgrade(self, attempt: Attempt) -> Attempt:
        deadline = time.monotonic() + _HANDSHAKE_SECONDS
        if self._deadline is not None:
            deadline = min(deadline, self._deadline)
        identity = self._dialer.headers()
        sock = self._dial(deadline)
        ws, protocol = upgrade(
            sock, self._dialer, self._target, attempt, identity=identity, on_exchange=self._on_exchange
        )
        sock.deadline = None
        self._ws, self._protocol = ws, protocol
        self._writer.repeat(lambda: (b"", _PING), interval=PING_SECONDS)
        self._writer.repeat(lambda: (b"", _BINARY), interval=EMPTY_MESSAGE_SECONDS)
        return attempt

    def limit_silence(self) -> None:
        """Take the server for gone when it does not even answer pings; call it after `open`.

        Not for an exec that gets input: a server that waits for the command to read it reads no pings.
        """
        if self._sock is not None:
            self._sock.limit_silence(SILENCE_SECONDS)

    def _dial(self, deadline: float) -> SharedSocket:
        sock = SharedSocket(self._dialer.open(deadline=deadline), deadline=deadline)
        with self._lock:
            self._sock = sock
            if self._aborted:
                sock.abort()
        return sock

    def events(self) -> Iterator[Event]:
        """Read the exec to its end, one message at a time; the last event is `Ended`, whatever happens.

        After an end that is not proved, `lost_because` says in a few words how the connection ended.
        """
        protocol = self._opened()
        clean = False
        try:
            while (message := self._receive_message()) is not None:
                yield from protocol.receive_message(message)
                if protocol.has_status and self._sock is not None:
                    self._sock.deadline = time.monotonic() + _AFTER_STATUS_SECONDS
            clean = True
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            self.lost_because = "the connection was closed without a closing handshake"
        except BufferError as error:
            self.lost_because = str(error)
        except (websocket.WebSocketException, OSError, ProtocolError) as error:
            self.lost_because = f"the connection broke: {error}"
        yield protocol.end(clean=clean)

    def _receive_message(self) -> bytes | None:
        """Read one message, answering pings on the way; None at the close frame."""
        if self._ws is None or self._sock is None:
            raise RuntimeError("the connection is not open")
        parts: list[bytes] = []
        size = 0
        while True:
            self._sock.allow(MAX_MESSAGE - size + _FRAME_HEADER)
            frame = self._ws.recv_frame()
            if frame.opcode == _CLOSE:
                return None
            if frame.opcode == _PING:
                self._writer.post(iter([(frame.data, _PONG)]))
            elif frame.opcode != _PONG:
                # Servers send whole messages; a proxy in between may cut them (RFC 6455, 5.4).
                if frame.fin and not parts:
                    return bytes(frame.data)
                parts.append(frame.data)
                size += len(frame.data)
                if frame.fin:
                    return b"".join(parts)

    def write(self, data: Iterable[bytes]) -> None:
        """Send input in the background, cut as a server takes it; returns at once.

        The remote may never read it: then the writer waits until the connection is closed, and the reader does not.
        An empty piece is a pause: the source has nothing yet.
        """
        protocol = self._opened()
        self._writer.post(_frames(protocol, data))

    def write_end(self) -> None:
        """Send the end of the input, after all that was written before.

        Raises:
            ProtocolError: If the subprotocol has none.
        """
        self._writer.post(iter([(self._opened().send_end_of_stdin(), _BINARY)]))

    def stop_writing(self) -> None:
        """Send nothing more, from the next message on: what is left of the input has no reader."""
        self._writer.stop()

    def resize(self, *, width: int, height: int) -> None:
        """Tell the terminal's size in characters."""
        self._writer.post(iter([(self._opened().send_resize(width=width, height=height), _BINARY)]))

    def beat(self, line: Callable[[], bytes], *, interval: float) -> None:
        """Send such a piece of input every `interval` seconds."""
        protocol = self._opened()
        self._writer.repeat(lambda: (next(protocol.send_stdin(line())), _BINARY), interval=interval)

    def _send(self, payload: bytes, opcode: int) -> None:
        if self._ws is not None:
            self._ws.send(payload, opcode)

    @staticmethod
    def _report(error: Exception) -> None:
        log.error("writing ended: %s", error)

    def abort(self) -> None:
        """End the connection now, from any thread; what the remote command does then is not known."""
        with self._lock:
            self._aborted = True
            if self._sock is not None:
                self._sock.abort()

    def close(self) -> None:
        """Free the socket and end the writer; call it from the thread that read."""
        if self._sock is not None:
            self._sock.close()
        self._writer.close()


def _frames(protocol: ExecProtocol, data: Iterable[bytes]) -> Iterator[Frame | None]:
    for piece in data:
        if not piece:
            yield None
        for message in protocol.send_stdin(piece):
            yield message, _BINARY
