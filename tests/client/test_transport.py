"""The socket that a reader and a writer share, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest
import trustme

from kexec_magic.execution.transport import SharedSocket


@pytest.fixture
def plain() -> Iterator[tuple[SharedSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    shared = SharedSocket(ours)
    yield shared, theirs
    shared.close()
    theirs.close()


def read_all(sock: SharedSocket, size: int) -> bytes:
    parts = []
    while size and (part := sock.recv(min(size, 16384))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def test_small_reads_are_served_one_after_the_other(plain: tuple[SharedSocket, socket.socket]) -> None:
    ours, theirs = plain
    theirs.sendall(b"abcdef")
    assert [ours.recv(1), ours.recv(2), ours.recv(100)] == [b"a", b"bc", b"def"]


def test_the_end_of_the_stream_is_empty(plain: tuple[SharedSocket, socket.socket]) -> None:
    ours, theirs = plain
    theirs.sendall(b"x")
    theirs.shutdown(socket.SHUT_WR)
    assert [ours.recv(10), ours.recv(10), ours.recv(10)] == [b"x", b"", b""]


def test_a_deadline_ends_a_read_that_waits(plain: tuple[SharedSocket, socket.socket]) -> None:
    ours, _ = plain
    ours.deadline = time.monotonic() + 0.05
    with pytest.raises(TimeoutError):
        ours.recv(1)


def test_abort_from_another_thread_ends_a_read_and_a_write_that_wait(
    plain: tuple[SharedSocket, socket.socket],
) -> None:
    ours, _ = plain
    ended: list[str] = []

    def wait(call: object) -> None:
        try:
            # Neither side ever reads or writes: both calls wait until the abort.
            ended.append(repr(call() if callable(call) else None))
        except OSError as error:
            ended.append(type(error).__name__)

    threads = [
        threading.Thread(target=wait, args=(lambda: ours.recv(1),)),
        threading.Thread(target=wait, args=(lambda: ours.send(b"x" * 10_000_000),)),
    ]
    for thread in threads:
        thread.start()
    ours.abort()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 2
    assert set(ended) <= {"ConnectionAbortedError", "BrokenPipeError", "b''"}


def test_more_than_was_allowed_is_not_read(plain: tuple[SharedSocket, socket.socket]) -> None:
    ours, theirs = plain
    theirs.sendall(b"x" * 100)
    ours.allow(10)
    assert ours.recv(10) == b"x" * 10
    with pytest.raises(BufferError):
        ours.recv(1)


def test_over_tls_two_threads_read_and_write_at_once_and_nothing_is_lost() -> None:
    size = 8_000_000
    sent, back = b"up" * (size // 2), b"dn" * (size // 2)
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    port: Queue[int] = Queue()
    arrived: Queue[bytes] = Queue()

    async def serve() -> None:
        done = asyncio.Event()

        async def both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(back)
            arrived.put(await reader.readexactly(size))
            await reader.read()  # until the other side has it all and closes
            writer.transport.abort()
            done.set()

        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(server_context)
        async with await asyncio.start_server(both_ways, "127.0.0.1", 0, ssl=server_context) as server:
            port.put(server.sockets[0].getsockname()[1])
            await done.wait()

    remote = threading.Thread(target=lambda: asyncio.run(serve()))
    remote.start()
    connected = socket.create_connection(("127.0.0.1", port.get(timeout=10)))
    ours = SharedSocket(context.wrap_socket(connected, server_hostname="localhost"))
    writer = threading.Thread(target=ours.send, args=(sent,))
    writer.start()

    received = read_all(ours, size)

    writer.join(30)
    assert arrived.get(timeout=30) == sent
    ours.close()
    remote.join(30)
    assert received == back
