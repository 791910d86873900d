"""Messages with file descriptors, between the server and the processes that run its containers."""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = ["receive_parcel", "send_parcel"]

_LENGTH = 4
_MAX_DESCRIPTORS = 4


def send_parcel(sock: socket.socket, content: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send a JSON object and open descriptors over a Unix stream socket that blocks."""
    payload = json.dumps(content).encode("utf-8", "surrogatepass")
    # The descriptors travel with the first byte, so that they cannot arrive after the text that needs them.
    socket.send_fds(sock, [len(payload).to_bytes(_LENGTH, "big")], descriptors)
    sock.sendall(payload)


def receive_parcel(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for one parcel.

    Returns:
        The object, and its descriptors, which no child process inherits.

    Raises:
        EOFError: If the other side is gone, before the parcel or within it.
    """
    # MSG_CMSG_CLOEXEC, where there is one, leaves no moment in which a fork could inherit a descriptor.
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    head, descriptors, _, _ = socket.recv_fds(sock, _LENGTH, _MAX_DESCRIPTORS, flags)
    head += _receive_exactly(sock, _LENGTH - len(head)) if head else b""
    if not head:
        raise EOFError("the other side closed the socket")
    payload = _receive_exactly(sock, int.from_bytes(head, "big"))
    return json.loads(payload.decode("utf-8", "surrogatepass")), descriptors


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = sock.recv(size - len(received))
        if not piece:
            raise EOFError("the other side closed the socket within a message")
        received += piece
    return bytes(received)
