"""One exec: a command's pipes on one side, the client's WebSocket on the other, and the rules between them.

Source: apiserver pkg/util/wsstream, client-go's and cri-streaming's remotecommand, and recordings from both.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING

from kexec_magic.sandbox.containers import Container, Ended, Process
from kexec_magic.sandbox.faults.base import Fault, send_through
from kexec_magic.sandbox.frames import FrameError, FrameReader, Opcode, encode_frame
from kexec_magic.sandbox.statuses import final_message
from kexec_magic.sandbox.subprotocols import CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT, Subprotocol

if TYPE_CHECKING:
    from kexec_magic.sandbox.execs import ExecRequest

__all__ = ["ExecStream"]

_logger = logging.getLogger(__name__)

_PIECE = 32 * 1024  # bytes; io.Copy's buffer, so a server's message is at most this and the channel byte
_TURN = 8  # pieces read before others on the loop have their turn
_UNSENT = 256 * 1024  # bytes waiting for the client before the command's pipes are left to fill
_UNREAD = 64 * 1024  # bytes waiting for the command before the server stops reading from the client
_NORMAL_CLOSE = (1000).to_bytes(2, "big")


class ExecStream(asyncio.Protocol):
    """The connection after the upgrade. Make one as the transport's protocol, then let `run` do its work."""

    def __init__(
        self,
        transport: asyncio.Transport,
        library: asyncio.Protocol,
        subprotocol: Subprotocol,
        request: ExecRequest,
        faults: list[Fault],
    ) -> None:
        self.subprotocol, self.request = subprotocol, request
        self._transport, self._library, self._faults = transport, library, faults
        self._loop = asyncio.get_running_loop()
        self.gone = self._loop.create_future()
        """Done when the connection is; its result is None."""
        self._frames = FrameReader()
        self._process: Process | None = None
        self._reading: set[int] = set()
        self._outputs_ended = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._unread: deque[bytes] = deque()
        self._stdin_ended = False
        self._ending = False
        self._abortion: asyncio.Task[None] | None = None
        self._transport.set_write_buffer_limits(high=_UNSENT)

    # The side of the client: called by the loop.

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.receive_bytes(data):
                self._receive_frame(frame.opcode, frame.payload)
        except (FrameError, ValueError) as exc:
            _logger.debug("closing the connection: %s", exc)
            code = exc.code if isinstance(exc, FrameError) else 1000
            self._close(code.to_bytes(2, "big"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._library.connection_lost(exc)
        self._writable.set()
        # A command that reads its input sees the end of it at once; one that does not is left to run.
        self._end_stdin()
        self._resume_outputs()

    def pause_writing(self) -> None:
        self._writable.clear()
        for descriptor in self._reading:
            self._loop.remove_reader(descriptor)

    def resume_writing(self) -> None:
        self._writable.set()
        self._resume_outputs()

    # The exec itself.

    async def run(self, container: Container, exec_id: str) -> None:
        """Start the command and carry its streams until it has ended, whether or not the client is still there."""
        request = self.request
        lowest = STDOUT if request.stdout else STDERR if request.stderr and not request.tty else ERROR
        self.send(lowest, b"")
        try:
            for fault in self._faults:
                await fault.opened(self)
            ended = await self._run_command(container)
            await self._finish(final_message(ended, request.argv, self.subprotocol, exec_id))
        finally:
            # Also where the server stops in the middle of it: then nothing else gives the descriptors back.
            self._release()
            # A client must not wait for ever for what cannot come; after an ordinary end this does nothing.
            self.drop()

    async def _run_command(self, container: Container) -> Ended:
        request = self.request
        try:
            self._process = await container.run(
                request.argv, tty=request.tty, stdin=request.stdin, stdout=request.stdout, stderr=request.stderr
            )
        except OSError as exc:
            return Ended(None, str(exc))
        self._reading = set(self._process.outputs.values())
        if not self._reading:
            self._outputs_ended.set()
        if self._writable.is_set():
            self._resume_outputs()
        self._flush_stdin()
        # Output has ended when nobody holds its pipes any more: a background process keeps the exec open.
        await self._outputs_ended.wait()
        return await self._process.wait()

    async def _finish(self, status: bytes | None) -> None:
        for fault in self._faults:
            await fault.output_ended(self)
        messages = [status]
        for fault in self._faults:
            messages = [found for message in messages for found in fault.final(self, message)]
        for message in messages:
            if message is not None:
                self.send(ERROR, message)
        for fault in self._faults:
            await fault.ending(self)
        await self.drain()
        self._close(_NORMAL_CLOSE)

    def send(self, channel: int, payload: bytes) -> None:
        """Send one message, as it is. Without a client it goes nowhere."""
        self.send_raw(self.subprotocol.encode(channel, payload))

    def send_raw(self, frame: bytes) -> None:
        """Send bytes that are a frame, or are not."""
        if not self._ending:
            self._transport.write(frame)

    async def drain(self) -> None:
        """Wait until the client has taken what was sent but for a little; let others on the loop have their turn."""
        await asyncio.sleep(0)
        await self._writable.wait()

    def drop(self) -> None:
        """End the connection as a lost server does: what was sent still arrives, then TCP ends without a word."""
        if not self._ending:
            self._ending = True
            self._abortion = self._loop.create_task(self._abort())

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        # l_onoff 1, l_linger 0: closing sends RST instead of FIN (socket(7)).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    def stop_reading(self) -> None:
        """Take nothing from the client any more."""
        self._transport.pause_reading()

    async def _abort(self) -> None:
        # Not 0: the TLS transport takes an empty buffer for a full one then, and never says that it was emptied.
        self._transport.set_write_buffer_limits(high=1)
        await self.drain()
        # No public way leads from a TLS transport to the one below it, and closing this one would say goodbye.
        below: asyncio.Transport = self._transport._ssl_protocol._transport  # type: ignore[attr-defined]  # noqa: SLF001
        below.close()

    def _close(self, code: bytes) -> None:
        if not self._ending:
            self.send_raw(encode_frame(Opcode.CLOSE, code))
            self._ending = True
            self._transport.close()

    def _release(self) -> None:
        process = self._process
        if process is None:
            return
        for descriptor in (process.stdin, *process.outputs.values()):
            if descriptor is not None:
                self._loop.remove_reader(descriptor)
                self._loop.remove_writer(descriptor)
        process.close()

    # From the client to the command.

    def _receive_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.PING:
            self.send_raw(encode_frame(Opcode.PONG, payload))
        elif opcode == Opcode.CLOSE:
            self._close(_NORMAL_CLOSE)
        elif opcode != Opcode.PONG and payload:
            # Text, binary and the rest of a fragmented message alike: to x/net each frame is a message of its own.
            self._receive_message(*self.subprotocol.decode(payload))

    def _receive_message(self, channel: int, payload: bytes) -> None:
        if channel == CLOSE and self.subprotocol.has_close_signal:
            if payload == bytes((STDIN,)) and not self.request.tty:
                self._end_stdin()
        elif channel == STDIN and self.request.stdin and not self._stdin_ended:
            self._unread.append(payload)
            self._flush_stdin()
        elif channel == RESIZE and self.request.tty and self._process is not None:
            try:
                size = json.loads(payload)
                self._process.resize(int(size["Width"]), int(size["Height"]))
            except (ValueError, KeyError, TypeError) as exc:
                _logger.debug("ignoring a size that is none: %s", exc)

    def _end_stdin(self) -> None:
        """Let the command read what has arrived and then the end of its input."""
        self._stdin_ended = True
        self._flush_stdin()

    def _flush_stdin(self) -> None:
        process = self._process
        if process is None:
            return
        descriptor = process.stdin
        while descriptor is not None and self._unread:
            try:
                written = os.write(descriptor, self._unread[0])
            except BlockingIOError:
                self._loop.add_writer(descriptor, self._flush_stdin)
                if sum(map(len, self._unread)) > _UNREAD and not self._ending:
                    self._transport.pause_reading()
                return
            except OSError:
                # EPIPE, or EIO of a tty: the command does not read any more, and a server throws its input away.
                self._unread.clear()
                break
            if written == len(self._unread[0]):
                self._unread.popleft()
            else:
                self._unread[0] = self._unread[0][written:]
        if descriptor is not None:
            self._loop.remove_writer(descriptor)
        if not self._ending and all(fault.reads_stdin for fault in self._faults):
            self._transport.resume_reading()
        if self._stdin_ended and descriptor is not None and not process.tty:
            process.stdin = None
            os.close(descriptor)

    # From the command to the client.

    def _resume_outputs(self) -> None:
        if self._process is None:
            return
        for channel, descriptor in self._process.outputs.items():
            if descriptor in self._reading:
                self._loop.add_reader(descriptor, self._carry_output, channel, descriptor)

    def _carry_output(self, channel: int, descriptor: int) -> None:
        for _ in range(_TURN):
            try:
                data = os.read(descriptor, _PIECE)
            except BlockingIOError:
                return
            except OSError as exc:
                # EIO is how a tty says that no process has it open any more.
                _logger.debug("the end of a tty: %s", exc)
                data = b""
            if not data:
                self._end_output(descriptor)
                return
            self.send_output(channel, data)
            if not self._writable.is_set() or descriptor not in self._reading:
                return

    def send_output(self, channel: int, payload: bytes, *, after: Fault | None = None) -> None:
        """Send what the faults make of output; what one of them has kept, as those after it make it."""
        if not self._ending:
            first = self._faults.index(after) + 1 if after else 0
            send_through(self._faults[first:], self, channel, payload)

    def _end_output(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._reading.discard(descriptor)
        if not self._reading:
            self._outputs_ended.set()
