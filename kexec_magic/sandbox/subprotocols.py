"""The exec subprotocols: which one a server takes, and how each puts a channel and its payload into a frame.

Source: apimachinery remotecommand/constants.go; apiserver pkg/util/wsstream; kubelet's cri-streaming websocket.go.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from kexec_magic.sandbox.frames import Opcode, encode_frame

__all__ = [
    "CLOSE",
    "ERROR",
    "RESIZE",
    "STDERR",
    "STDIN",
    "STDOUT",
    "Subprotocol",
    "choose_subprotocol",
]

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """One of them, under the name that the client offered; the empty name stands for none."""

    name: str
    is_base64: bool = False
    is_legacy: bool = False
    """No Status: silence on success, plain text on failure, no exit code."""
    has_close_signal: bool = False

    def encode(self, channel: int, payload: bytes) -> bytes:
        """Give the frame that carries a payload."""
        if self.is_base64:
            return encode_frame(Opcode.TEXT, str(channel).encode() + base64.b64encode(payload))
        return encode_frame(Opcode.BINARY, bytes((channel,)) + payload)

    def decode(self, message: bytes) -> tuple[int, bytes]:
        """Give channel and payload of a client's message that is not empty.

        Raises:
            ValueError: If it is not base64 where it must be. The server ends the connection.
        """
        if not self.is_base64:
            return message[0], message[1:]
        try:
            return message[0] - ord("0"), base64.b64decode(message[1:])
        except binascii.Error as exc:
            raise ValueError(f"the payload is not base64: {exc}") from exc


_V5 = Subprotocol("v5.channel.k8s.io", has_close_signal=True)
_OTHERS = {
    found.name: found
    for found in (
        Subprotocol("", is_legacy=True),
        Subprotocol("channel.k8s.io", is_legacy=True),
        Subprotocol("base64.channel.k8s.io", is_legacy=True, is_base64=True),
        Subprotocol("v4.channel.k8s.io"),
        Subprotocol("v4.base64.channel.k8s.io", is_base64=True),
    )
}


def choose_subprotocol(offered: list[str], *, old_server: bool) -> Subprotocol | None:
    """Pick what a server picks; None if it knows none of them.

    A newer server hands every client that knows v5 to its translator, which speaks nothing else, whatever came first
    in the offer (recorded from 1.36). Else the client's order decides.
    """
    if not old_server and _V5.name in offered:
        return _V5
    return next((_OTHERS[name] for name in offered or [""] if name in _OTHERS), None)
