"""A WebSocket client with nothing of ours and no library: it sends what a test says and shows every frame it gets."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

TIMEOUT = 20.0  # seconds until a test that waits for the server fails
PING, PONG, CLOSE = 9, 10, 8
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


@dataclass
class Access:
    """What a kubeconfig says, reduced to what a socket needs."""

    port: int
    authority: str
    certificate: Path | None

    @classmethod
    def read(cls, kubeconfig: Path, folder: Path) -> Access:
        """Read the current context; the client's certificate and key go to a file in `folder`."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        certificate = folder / "client.pem"
        certificate.touch(mode=0o600)
        pair = [base64.b64decode(user[name]) for name in ("client-certificate-data", "client-key-data")]
        certificate.write_bytes(b"".join(pair))
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(int(cluster["server"].rsplit(":", 1)[1]), authority, certificate)

    @contextmanager
    def connect(self, *, certificate: bool = True) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection."""
        context = ssl.create_default_context(cadata=self.authority)
        if certificate and self.certificate:
            context.load_cert_chain(self.certificate)
        with (
            socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock,
        ):
            yield sock


@dataclass
class Response:
    """The answer's head, and its body where it was not an upgrade."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    """One request, and after an upgrade the WebSocket."""

    sock: ssl.SSLSocket
    response: Response
    rest: bytes = b""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    end: str = ""
    """How the connection ended: `close`, `eof` (a TLS goodbye), `cut` (TCP end without one), `reset`; empty before."""

    def send(self, payload: bytes, opcode: int = 2, *, fin: bool = True, masked: bool = True) -> None:
        """Send one frame."""
        size, mask = len(payload), os.urandom(4)
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([bit | 127]) + size.to_bytes(8, "big")
        if masked:
            payload = mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        self.sock.sendall(head + payload)

    def stdin(self, data: bytes) -> None:
        self.send(b"\0" + data)

    def close_stdin(self) -> None:
        self.send(b"\xff\0")

    def receive(self) -> tuple[int, bytes] | None:
        """Give the next frame; None when the connection has ended."""
        head = self._exactly(2)
        if head is None:
            return None
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8) or b"", "big")
        payload = self._exactly(size)
        if payload is None:
            return None
        self.frames.append((head[0] & 0x0F, payload))
        if head[0] & 0x0F == CLOSE:
            self.end = "close"
        return self.frames[-1]

    def until(self, channel: int, text: bytes) -> None:
        """Read until this channel has said something."""
        while text not in self.channel(channel):
            assert self.receive() is not None, f"{text!r} never came: {self.frames}, {self.end}"

    def drain(self) -> Connection:
        """Read to the end."""
        while self.receive() is not None:
            pass
        return self

    def round_trip(self) -> None:
        """Wait until the server has seen everything sent so far."""
        self.send(b"there?", PING)
        while self.receive() != (PONG, b"there?"):
            assert not self.end, self.end

    def channel(self, number: int) -> bytes:
        """All payloads of a channel, together."""
        return b"".join(p[1:] for opcode, p in self.frames if opcode == 2 and p[:1] == bytes([number]))

    @property
    def stdout(self) -> bytes:
        return self.channel(1)

    @property
    def stderr(self) -> bytes:
        return self.channel(2)

    @property
    def status(self) -> Any:
        """The Status; None if there was none."""
        text = self.channel(3)
        return json.loads(text) if text else None

    @property
    def exit_code(self) -> int | None:
        """The exit code that the Status proves."""
        if self.status is None:
            return None
        if self.status["status"] == "Success":
            return 0
        causes = self.status.get("details", {}).get("causes", [])
        return next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), None)

    def _exactly(self, size: int) -> bytes | None:
        while len(self.rest) < size:
            data = self._receive()
            if not data:
                return None
            self.rest += data
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def _receive(self) -> bytes:
        try:
            if not self.sock.pending():
                # OpenSSL reports a reset as an end of file; the socket below it knows better.
                socket.socket.recv(self.sock, 1, socket.MSG_PEEK)
            data = self.sock.recv(1 << 20)
        except ssl.SSLEOFError:
            self.end = self.end or "cut"
            return b""
        except ConnectionResetError:
            self.end = "reset"
            return b""
        if not data:
            self.end = self.end or "eof"
        return data


@contextmanager
def request(
    access: Access,
    path: str,
    *,
    method: str = "GET",
    token: str | None = None,
    certificate: bool = True,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Iterator[Connection]:
    """Send any request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with access.connect(certificate=certificate and not token) as sock:
        sock.settimeout(TIMEOUT)
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        yield _read_response(sock)


@contextmanager
def upgrade(
    access: Access, path: str, subprotocols: list[str], *, token: str | None = None, certificate: bool = True
) -> Iterator[Connection]:
    """Ask for a WebSocket."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    if subprotocols:
        headers["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    with request(access, path, token=token, certificate=certificate, headers=headers) as connection:
        yield connection


def exec_path(pod: str, *argv: str, namespace: str = "default", **options: str) -> str:
    """Give the path of an exec; `stdout` and `stderr` are asked for unless an option is given as empty."""
    query = [("command", element) for element in argv]
    query += [(name, value) for name, value in ({"stdout": "true", "stderr": "true"} | options).items() if value]
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"


def get(access: Access, path: str, **options: Any) -> Response:
    """Read a path over REST."""
    with request(access, path, **options) as connection:
        return connection.response


def run(access: Access, pod: str, *argv: str, subprotocols: Iterable[str] = (V5,), container: str = "") -> Connection:
    """Run a command to its end."""
    with upgrade(access, exec_path(pod, *argv, container=container), list(subprotocols)) as found:
        return found.drain()


def ignored_signals(access: Access, pod: str) -> set[signal.Signals]:
    """Give the signals that a command starts with as ignored; the C library's own two, which have no names, apart."""
    line = run(access, pod, "grep", "SigIgn", "/proc/self/status").stdout
    mask = int(line.split()[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


def _read_response(sock: ssl.SSLSocket) -> Connection:
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(65536)
        assert data, f"the server hung up within its answer: {received!r}"
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    connection = Connection(sock, Response(int(first.split()[1]), headers), rest)
    if connection.response.status != 101:
        length = headers.get("content-length")
        while length is None or len(connection.rest) < int(length):
            data = connection._receive()
            if not data:
                break
            connection.rest += data
        connection.response.body = connection.rest
    return connection
