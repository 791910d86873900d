"""Messages with file descriptors, between the server and the processes that run its containers."""

from __future__ import annotations

import json
import os
import socket
from array import array
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
    descriptors = array("i")
    # Not socket.recv_fds: it takes flags and ignores them, and a pod's command would inherit the descriptors.
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * descriptors.itemsize)
    head, ancillary, _, _ = sock.recvmsg(_LENGTH, room, flags)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    for descriptor in descriptors:
        # Where the flag does not exist.
        os.set_inheritable(descriptor, False)
    head += _receive_exactly(sock, _LENGTH - len(head)) if head else b""
    if not head:
        raise EOFError("the other side closed the socket")
    payload = _receive_exactly(sock, int.from_bytes(head, "big"))
    return json.loads(payload.decode("utf-8", "surrogatepass")), list(descriptors)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = sock.recv(size - len(received))
        if not piece:
            raise EOFError("the other side closed the socket within a message")
        received += piece
    return bytes(received)
