"""The program that runs the containers: a process apart, which forks a launcher for each, which forks the commands.

A forked Python costs a millisecond, `nsenter` beside `unshare` several. The launcher stays outside the container's
process namespace while its children are inside, as with a real runtime: a command's parent is process 0 there. It ends,
with all that runs in the container, when its socket is closed: that is, also when the server was killed.

This program runs without the server's memory, environment and descriptors: none of them can reach a pod.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import socket
import stat
import termios
from pathlib import Path
from typing import Any, NoReturn

from kexec_magic.sandbox import namespaces, roots
from kexec_magic.sandbox.parcels import receive_parcel, send_parcel
from kexec_magic.sandbox.programs import become, describe, execute

__all__ = ["main"]

# What process 1 of a pod does, as in a real cluster's demonstration pods: nothing, for as long as it may.
_IDLE = {"busybox": ["tail", "-f", "/dev/null"], "tools": ["sleep", "infinity"], "noshell": ["sleep", "2147483647"]}
_IDLE["bare"] = _IDLE["noshell"]


def main(descriptor: int, folder: str) -> NoReturn:
    """Fork a launcher for every container that the server names on this socket, until the server is gone.

    Then remove the sandbox's folder: a server that was killed cannot.
    """
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    # An interrupt typed in the server's terminal is the server's matter: it closes the socket when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            spec, (launcher,) = receive_parcel(control)
        except EOFError:
            _wait_for_children()
            # What cannot be removed is the server's to report, if it is still there.
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _launch(spec, socket.socket(fileno=launcher))
        os.close(launcher)


def _wait_for_children() -> None:
    """Stay until every launcher has cleaned up: they are killed when this process ends."""
    try:
        os.wait()
    except ChildProcessError:
        pass  # with SIGCHLD ignored this is how wait(2) says that all are gone


def _launch(spec: dict[str, Any], control: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    namespaces.die_with_parent(signal.SIGKILL)
    try:
        init = _start_isolated(spec) if spec["isolated"] else _start_plain(spec)
    except OSError as exc:
        send_parcel(control, {"error": str(exc)})
        os._exit(1)
    send_parcel(control, {"ready": True})
    _Launcher(spec, control, init).serve()


def _start_isolated(spec: dict[str, Any]) -> int:
    """Build the container and start its process 1; give that process's id on the machine."""
    namespaces.enter_new_namespaces(spec["pod"])
    roots.populate_root(spec)
    reading, writing = os.pipe()
    init = os.fork()
    if init == 0:
        try:
            namespaces.die_with_parent(signal.SIGKILL)
            roots.populate_proc(Path(spec["folder"]) / "proc")
            # It changes the root of the launcher too: both are in one mount namespace.
            namespaces.pivot_root(Path(spec["folder"]))
            if spec["read_only"]:
                namespaces.make_read_only(Path("/"))
            namespaces.drop_capabilities()
            # Nothing of the server's terminal, and nothing but /dev/null to read.
            null = os.open("/dev/null", os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.setsid()
            argv = _IDLE["tools" if spec["image"] == "busybox" and not spec["busybox"] else spec["image"]]
            become(spec["user"])
            # Another user must ask for it again: the kernel has forgotten it (commit_creds of kernel/cred.c).
            namespaces.die_with_parent(signal.SIGKILL)
            execute(argv, {"PATH": roots.search_path(spec)})
        except BaseException as exc:  # noqa: BLE001 - whatever it was, this child must not run on as a second launcher
            os.write(writing, str(exc).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        problem = pipe.read().decode()
    if problem:
        raise OSError(problem)
    os.chdir("/")
    namespaces.drop_capabilities()
    return init


def _start_plain(spec: dict[str, Any]) -> int:
    """Prepare the folder of a container that nothing isolates. No process stands for it: 0."""
    roots.populate_folder(spec)
    os.chdir(spec["folder"])
    # Without a process namespace this is how a command's orphans are found again.
    namespaces.make_subreaper()
    return 0


class _Launcher:
    """Starts the commands of one container and tells how they ended."""

    def __init__(self, spec: dict[str, Any], control: socket.socket, init: int) -> None:
        self._spec, self._control, self._init = spec, control, init
        self._running: dict[int, socket.socket] = {}

    def serve(self) -> NoReturn:
        woken, waker = os.pipe()
        for descriptor in (woken, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._control.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready:
                try:
                    _, descriptors = receive_parcel(self._control)
                except (EOFError, ConnectionError):
                    self._end_all()
                    os._exit(0)
                self._start(descriptors)

    def _start(self, descriptors: list[int]) -> None:
        exec_socket = socket.socket(fileno=descriptors[0])
        pid: int | None
        try:
            pid = os.fork()
        except OSError as exc:
            # ENOMEM: process 1 has ended, and no other can start in its namespace (pid_namespaces(7)).
            send_parcel(exec_socket, {"error": f"the container has ended: {exc}"})
            exec_socket.close()
            pid = None
        if pid == 0:
            signal.set_wakeup_fd(-1)
            _run(self._spec, exec_socket, descriptors[1:])
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        if pid is not None:
            self._running[pid] = exec_socket

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell(pid, status)

    def _tell(self, pid: int, status: int) -> None:
        """Pass on how a command ended; nobody asks about process 1 and orphans."""
        exec_socket = self._running.pop(pid, None)
        if exec_socket is None:
            return
        code = os.waitstatus_to_exitcode(status)
        try:
            # 128 + n is the convention of shells, which runtimes follow.
            send_parcel(exec_socket, {"exit": code if code >= 0 else 128 - code})
        except ConnectionError:
            pass  # the server is gone too
        exec_socket.close()

    def _end_all(self) -> None:
        """Kill everything in the container and tell how the commands ended: by SIGKILL."""
        if self._init:
            # Process 1 takes its namespace along.
            os.kill(self._init, signal.SIGKILL)
        while True:
            for pid in {*_children(), *self._running} - {self._init}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except PermissionError:
                    pass  # a program that runs as somebody else, as sudo does, is out of reach without isolation
            try:
                # Where nothing isolates, their children become ours as they go: until none is left.
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self._tell(pid, status)


def _children() -> list[int]:
    """Give this process's children where nothing isolates; a container's own /proc does not have this process."""
    path = Path("/proc/self/task") / str(os.getpid()) / "children"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def _run(spec: dict[str, Any], exec_socket: socket.socket, descriptors: list[int]) -> NoReturn:
    """Become the command that the exec's socket names."""
    try:
        request, _ = receive_parcel(exec_socket)
        os.setsid()
        if request["tty"]:
            master, slave = os.openpty()
            send_parcel(exec_socket, {"tty": True}, (master,))
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            descriptors = [slave, slave, slave]
        for number, descriptor in enumerate(descriptors):
            # As runc does (fixStdioPermissions): else only root could open /dev/stdout. Never the machine's /dev/null.
            if spec["user"] and (request["tty"] or stat.S_ISFIFO(os.fstat(descriptor).st_mode)):
                os.fchown(descriptor, spec["user"], -1)
            os.dup2(descriptor, number)
        become(spec["user"])
        try:
            execute(request["argv"], request["env"])
        except LookupError as exc:
            send_parcel(exec_socket, {"error": exc.args[0]})
        except OSError as exc:
            # runc has found the program and is past reporting: it writes to the command's stderr and exits with 1.
            os.write(2, f"exec {exc.filename}: {describe(exc)}\n".encode(errors="surrogateescape"))
    except BaseException as exc:  # noqa: BLE001 - whatever it was, this child must not run on as a second launcher
        os.write(2, f"sandbox: {exc!r}\n".encode())
    os._exit(1)
