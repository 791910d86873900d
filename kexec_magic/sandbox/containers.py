"""The containers' processes as the server sees them: start a command, get its pipes, learn how it ended."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kexec_magic.sandbox import roots
from kexec_magic.sandbox.isolation import Isolation
from kexec_magic.sandbox.parcels import receive_parcel, send_parcel
from kexec_magic.sandbox.specs import ContainerSpec

__all__ = ["Container", "Ended", "Node", "Process"]

_BOOT = """\
import sys
sys.path[:] = sys.argv[3:]
from kexec_magic.sandbox.node import main
main(int(sys.argv[1]), sys.argv[2])
"""
_GRACE = 5.0  # seconds for the containers to end before their node is killed
# A pipe of this size lets a busy command write on while the server encrypts what came before; Linux allows 1 MiB.
_PIPE_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: an exit code, or the runtime's reason why it never started."""

    exit_code: int | None
    error: str | None = None


@dataclass(slots=True)
class Process:
    """One command. The descriptors do not block; they and the socket are the caller's to close.

    `stdin` is None where none was asked for; `outputs` maps channel numbers to descriptors. With a tty all are one.
    """

    exec_socket: socket.socket
    stdin: int | None = None
    outputs: dict[int, int] = field(default_factory=dict)
    tty: bool = False

    def resize(self, width: int, height: int) -> None:
        """Tell a tty its size in characters.

        Raises:
            ValueError: If it is not one of 16 bits, which is all that the kernel keeps.
        """
        if not (0 <= width < 65536 and 0 <= height < 65536):
            raise ValueError(f"no size of a terminal: {width} by {height}")
        if self.tty and self.outputs:
            fcntl.ioctl(self.outputs[1], termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        """Give back what is left of its descriptors."""
        remaining = {self.stdin, *self.outputs.values()} - {None}
        self.stdin, self.outputs = None, {}
        for descriptor in remaining:
            if descriptor is not None:
                os.close(descriptor)
        self.exec_socket.close()

    async def wait(self) -> Ended:
        """Wait until the command has ended, or never started."""
        try:
            content, _ = await _receive(self.exec_socket)
        except (EOFError, ConnectionError):
            return Ended(None, "the container's launcher has ended")
        return Ended(content["exit"]) if "exit" in content else Ended(None, content["error"])


class Container:
    """One container of one pod: started with its first command, ended with the node."""

    def __init__(self, node: Node, spec: dict[str, Any]) -> None:
        self._node, self.spec = node, spec
        self._control: socket.socket | None = None
        self._ready: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, if nobody has.

        Raises:
            OSError: If the kernel refuses; later calls raise the same.
        """
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._start())
        await asyncio.shield(self._ready)

    async def run(self, argv: list[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> Process:
        """Start a command.

        Returns:
            The process. That there is no such program is told by its `wait`.

        Raises:
            OSError: If the container cannot be started.
        """
        await self.start()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        process = Process(ours, tty=tty)
        given = [theirs.fileno()]
        opened: list[int] = []
        if not tty:
            for number, wanted in enumerate((stdin, stdout, stderr)):
                near, far = _pipe(number, wanted)
                opened.append(far)
                if near is not None and number == 0:
                    process.stdin = near
                elif near is not None:
                    process.outputs[number] = near
        try:
            try:
                send_parcel(self._control, {}, (*given, *opened))
            finally:
                theirs.close()
                for descriptor in opened:
                    os.close(descriptor)
            await _send(ours, {"argv": argv, "tty": tty, "env": self._environment(tty=tty)})
            if tty:
                _, (terminal,) = await _receive(ours)
                os.set_blocking(terminal, False)
                process.stdin, process.outputs = terminal, {1: terminal}
        except (OSError, EOFError) as exc:
            process.close()
            raise OSError("the container is gone") from exc
        return process

    def close(self) -> None:
        """End every process in it with SIGKILL. Their execs are told so; no command can be started any more."""
        if self._control is not None:
            self._control.close()

    async def _start(self) -> None:
        Path(self.spec["folder"]).mkdir(parents=True, mode=0o700, exist_ok=True)
        self._control = self._node.launch(self.spec)
        try:
            content, _ = await _receive(self._control)
        except EOFError as exc:
            raise OSError("the process that runs the containers has ended") from exc
        if "error" in content:
            raise OSError(content["error"])

    def _environment(self, *, tty: bool) -> dict[str, str]:
        spec = self.spec
        home = "/" if spec["user"] else "/root"
        found: dict[str, str] = {
            "PATH": roots.search_path(spec),
            "HOSTNAME": spec["pod"],
            "HOME": home if spec["isolated"] else spec["folder"],
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
        if tty:
            found["TERM"] = "xterm"
        found.update(spec["env"])
        return found


class Node:
    """The process that runs all containers, and the folder they live in."""

    def __init__(self, folder: Path, *, isolate: bool, busybox: bool) -> None:
        self.folder = folder
        self.isolation = Isolation(isolate, "" if isolate else "it was asked for", os.geteuid() != 0)
        found = roots.find_static_busybox() if busybox else None
        self._common: dict[str, Any] = {
            "busybox": str(found) if found else None,
            "applets": roots.busybox_applets(found) if found else [],
        }
        self._containers: list[Container] = []
        control, theirs = socket.socketpair()
        self._control = control
        # The same places as here, but for the current folder: -I and no environment, so that nothing else decides.
        places = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        command = [sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), str(folder), *places]
        self._program = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={}, cwd="/")
        theirs.close()

    def container(self, pod: str, name: str, wanted: ContainerSpec) -> Container:
        """Describe a container; it starts with its first command."""
        # Unlike a name made of theirs, this one cannot clash and says nothing in a process list.
        folder = tempfile.mkdtemp(prefix=f"{pod}-", dir=self.folder)
        spec = {"pod": pod, "container": name, "isolated": self.isolation.isolated, "folder": folder}
        spec |= {"image": wanted.image, "user": wanted.user or 0, "read_only": wanted.is_read_only}
        container = Container(self, spec | {"env": wanted.environment} | self._common)
        self._containers.append(container)
        return container

    async def probe(self) -> None:
        """Find out whether this kernel isolates; if not, `isolation` says why from now on."""
        if not self.isolation.isolated:
            return
        if sys.platform != "linux":
            self.isolation = Isolation(False, "only Linux has the namespaces for it")
            return
        trial = self.container("probe", "main", ContainerSpec())
        try:
            await trial.start()
        except OSError as exc:
            if self._program.poll() is not None:
                raise RuntimeError(f"{sys.executable} cannot run the containers") from exc
            self.isolation = Isolation(False, f"the kernel refuses: {exc}")
        trial.close()

    def launch(self, spec: dict[str, Any]) -> socket.socket:
        """Have the node fork a launcher; give the socket to talk to it."""
        ours, theirs = socket.socketpair()
        send_parcel(self._control, spec, (theirs.fileno(),))
        theirs.close()
        return ours

    def close(self) -> None:
        """End all containers, wait until their processes are gone, and remove the folder."""
        for container in self._containers:
            container.close()
        self._control.close()
        try:
            self._program.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _pipe(number: int, wanted: bool) -> tuple[int | None, int]:
    """Make the pipe of a standard stream: our end, if it is wanted, and the command's."""
    if not wanted:
        return None, os.open(os.devnull, os.O_RDWR)
    reading, writing = os.pipe()
    near, far = (writing, reading) if number == 0 else (reading, writing)
    os.set_blocking(near, False)
    if number and hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(near, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        except PermissionError:
            pass  # the user's pipes are at their limit (pipe(7)): the default of 64 KiB only costs speed
    return near, far


async def _receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for a parcel without blocking the loop. It is short: once it has begun, the rest is there."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.remove_reader(sock)
        readable.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await readable
    finally:
        loop.remove_reader(sock)
    return receive_parcel(sock)


async def _send(sock: socket.socket, content: dict[str, Any]) -> None:
    """Send a parcel that may be larger than the socket's buffer (argv) while the launcher reads it."""
    await asyncio.get_running_loop().run_in_executor(None, send_parcel, sock, content)
