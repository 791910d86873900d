"""One exec as a protocol: messages in, events out; what the user sends in, messages out.

The caller owns the socket. For each WebSocket message call `receive_message`; when the WebSocket is over, cleanly or
not, call `end` once. Nothing here waits, retries or knows the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from kexec_magic.errors import ProtocolError
from kexec_magic.wire.channels import Channel, Subprotocol
from kexec_magic.wire.status import Status, parse_error_channel, parse_legacy_error, parse_status

__all__ = ["MAX_MESSAGE", "Ended", "Event", "ExecProtocol", "Opened", "Output"]

# kubectl sends pieces of this size; a server reads each WebSocket frame as one message and may lose the rest of a
# fragmented one, so a piece must never be fragmented (client-go transport/websocket/roundtripper.go).
_PIECE = 32 * 1024

# Servers send 32 KiB + 1 at most; anything near this is not an exec, and is refused before it fills the memory.
MAX_MESSAGE = 16 * 1024 * 1024

_MAX_STATUS = 1024 * 1024
_SERVER_CHANNELS = (Channel.STDOUT, Channel.STDERR, Channel.ERROR)


@dataclass(frozen=True, slots=True)
class Opened:
    """The server's first, empty message: the streams are connected. It does not prove that the command started."""


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes of the command, `channel` being STDOUT or STDERR. Where they are cut means nothing."""

    channel: Channel
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The exec is over. `proved` says whether the server proved it; without that, the command may still run.

    `status` is what the server said, None where it said nothing. `clean` says whether a close frame came; on v4 and
    v5 that alone proves nothing, since servers close in the same way after idle timeouts and internal errors.
    """

    proved: bool
    status: Status | None
    clean: bool


Event = Opened | Output | Ended


class ExecProtocol:
    """The state of one exec on an agreed subprotocol."""

    def __init__(self, subprotocol: Subprotocol) -> None:
        self.subprotocol = subprotocol
        self._opened = False
        self._error = bytearray()

    @property
    def has_status(self) -> bool:
        """Whether a whole Status has arrived, after which only the rest of a close is to come."""
        return bool(self._error) and parse_status(bytes(self._error)) is not None

    def receive_message(self, message: bytes) -> list[Event]:
        """Turn one WebSocket message into events, oldest first.

        Args:
            message: Channel byte, then payload. Channels that a server has no business with are ignored, as kubectl
                ignores them.

        Raises:
            ProtocolError: If the error channel runs over 1 MiB, which no Status does.

        Source: client-go tools/remotecommand/websocket.go (readDemuxLoop).
        """
        if not message:
            return []
        number = message[0]
        if len(message) == 1:
            # The mark comes on the lowest output channel that was asked for; on ERROR it is not a Status.
            if self._opened or number not in _SERVER_CHANNELS:
                return []
            self._opened = True
            return [Opened()]
        if number == Channel.STDOUT:
            return [Output(Channel.STDOUT, message[1:])]
        if number == Channel.STDERR:
            return [Output(Channel.STDERR, message[1:])]
        if number == Channel.ERROR:
            # A Status may be cut over messages: it is parsed once, at the end (client-go v4.go reads to EOF).
            self._error += memoryview(message)[1:]
            if len(self._error) > _MAX_STATUS:
                raise ProtocolError(f"the server sent more than {_MAX_STATUS} bytes on the error channel")
        return []

    def end(self, *, clean: bool) -> Ended:
        """Say how the exec ended, `clean` telling whether a close frame was received."""
        payload = bytes(self._error)
        if self.subprotocol.is_legacy:
            return Ended(proved=clean, status=parse_legacy_error(payload), clean=clean)
        # Text that is not a Status counts only if the server had finished saying it.
        status = parse_error_channel(payload) if clean else parse_status(payload)
        return Ended(proved=status is not None, status=status, clean=clean)

    def send_stdin(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """Cut input into messages that a server takes whole; each is to be sent as one unfragmented frame."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            yield bytes((Channel.STDIN,)) + view[start : start + _PIECE]

    def send_end_of_stdin(self) -> bytes:
        """Give the message that ends stdin while output goes on.

        Raises:
            ProtocolError: If the subprotocol has no half-close. The channel byte 255 would be ignored there, and the
                remote would wait for its input for ever.

        Source: apiserver wsstream/conn.go (exactly two bytes: 255 and the channel).
        """
        if not self.subprotocol.has_half_close:
            raise ProtocolError(f"{self.subprotocol.value or 'a legacy exec'} cannot end stdin")
        return bytes((Channel.CLOSE, Channel.STDIN))

    def send_resize(self, *, width: int, height: int) -> bytes:
        """Give the message that tells a terminal's size in characters; one malformed object ends all resizing.

        Source: apiserver streamtranslator (handleResizeEvents reads a stream of JSON objects).
        """
        if not (0 < width < 65536 and 0 < height < 65536):
            raise ProtocolError(f"a terminal of {width} x {height} characters cannot be told: 1 to 65535 each way")
        return bytes((Channel.RESIZE,)) + json.dumps({"Width": width, "Height": height}).encode()
