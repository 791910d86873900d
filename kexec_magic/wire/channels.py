"""Channel numbers and subprotocols of the exec WebSocket.

Every binary message is one channel byte followed by its payload.

Source: apimachinery util/remotecommand/constants.go; apiserver wsstream/conn.go; cri-streaming websocket.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum

from kexec_magic.errors import ProtocolError

__all__ = ["OFFERED", "Channel", "Subprotocol", "negotiated"]


class Channel(IntEnum):
    """The first byte of a message. CLOSE exists on v5 only; its payload is the one channel that it half-closes."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4
    CLOSE = 255


class Subprotocol(Enum):
    """What client and server agreed to speak; the value is the name in `Sec-WebSocket-Protocol`, '' for none."""

    V5 = "v5.channel.k8s.io"
    V4 = "v4.channel.k8s.io"
    CHANNEL = "channel.k8s.io"
    UNNAMED = ""

    @property
    def has_half_close(self) -> bool:
        """Whether the client can end stdin and go on reading; before v5 the remote waits for an end for ever."""
        return self is Subprotocol.V5

    @property
    def is_legacy(self) -> bool:
        """Whether a failure is plain text and success is silence, so that a clean close is all the proof there is."""
        return self in (Subprotocol.CHANNEL, Subprotocol.UNNAMED)


# One header line in this order: a server takes the first name in the client's order that it knows (wsstream/conn.go).
OFFERED = (Subprotocol.V5, Subprotocol.V4)

_BASE64 = frozenset({"v4.base64.channel.k8s.io", "base64.channel.k8s.io"})


def negotiated(name: str | None, offered: Sequence[Subprotocol]) -> Subprotocol:
    """Tell the subprotocol from the name in the server's answer (None where it named none).

    Raises:
        ProtocolError: If the server chose what was not offered, or a base64 variant, which carries text frames at
            4/3 of the size and brings nothing that the binary names do not.
    """
    if name in _BASE64:
        raise ProtocolError(
            f"the server chose the subprotocol {name}, whose base64 text frames kexec_magic does not speak",
            hint="a proxy may have rewritten Sec-WebSocket-Protocol; kexec_magic offers " + _names(offered),
        )
    for subprotocol in offered:
        if subprotocol.value == (name or ""):
            return subprotocol
    raise ProtocolError(
        f"the server chose the subprotocol {name!r}, which was not offered"
        if name
        else "the server chose no subprotocol",
        hint="a proxy in front of the API server may drop Sec-WebSocket-Protocol; kexec_magic offers "
        + _names(offered),
    )


def _names(offered: Sequence[Subprotocol]) -> str:
    return ", ".join(subprotocol.value or "no name" for subprotocol in offered)
