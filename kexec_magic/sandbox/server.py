"""The sandbox itself: an API server in a thread of its own, its pods, and what a test may ask of it."""

from __future__ import annotations

import asyncio
import atexit
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from kexec_magic.sandbox.certificates import Certificates, write_kubeconfig
from kexec_magic.sandbox.cluster import Cluster, Rule
from kexec_magic.sandbox.containers import Node
from kexec_magic.sandbox.faults import Fault
from kexec_magic.sandbox.isolation import Isolation
from kexec_magic.sandbox.pods import Pod
from kexec_magic.sandbox.records import RecordedRequest
from kexec_magic.sandbox.routes import Routes

__all__ = ["Sandbox"]

_START_LIMIT = 30.0  # seconds until a thread that has not said anything is given up
# The largest request line that is read at all: above Go's limit of 1 MiB, so that 431 can be said in Go's words.
_MAX_LINE = 8 * 1024 * 1024
_CONTEXTS = {
    "sandbox-token": "admintoken",
    "sandbox-bob": "bobtoken",
    "sandbox-execonly": "execonlytoken",
    "sandbox-getonly": "getonlytoken",
}


class Sandbox:
    """A Kubernetes API server for demonstrations and tests, on this machine and for this user alone.

    It serves what a client needs to find pods and to exec in them; the commands are real processes. See `isolation` for
    what keeps them apart from the machine. It listens on the loopback address only.

    Args:
        old_server: Speak v4 and older as Kubernetes 1.20 does: a lone v5 offer is refused with a bare 403. (kubectl
            then falls back to SPDY, which the sandbox does not speak.)
        port: The TCP port; 0 picks a free one.
        kubeconfig: Where to write the kubeconfig; by default in the sandbox's own folder, which goes with it.
        isolate: Give containers namespaces of their own where the kernel allows it.
        busybox: Give pods busybox where this machine has a static one; else they have its own sh and tools.

    Attributes:
        url: The server's address, once started.
        kubeconfig: Its kubeconfig. Contexts: `sandbox` (client certificate, all rights), `sandbox-token` (a token, all
            rights), `sandbox-bob` (no rights), `sandbox-execonly` (only pods/exec in `default`), `sandbox-getonly`
            (only `get` of it).
        isolation: What keeps commands apart from the machine; `describe()` says it in a sentence.
    """

    url: str
    kubeconfig: Path
    isolation: Isolation

    def __init__(
        self,
        *,
        old_server: bool = False,
        port: int = 0,
        kubeconfig: Path | str | None = None,
        isolate: bool = True,
        busybox: bool = True,
    ) -> None:
        self._port, self._kubeconfig, self._isolate, self._busybox = port, kubeconfig, isolate, busybox
        self._cluster = Cluster(old_server)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start the server, if it is not running.

        Raises:
            OSError: If the port is taken or the kubeconfig cannot be written.
        """
        if self._thread is not None:
            return self
        self._started.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._serve, name="kexec-sandbox", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_LIMIT):
            raise TimeoutError(f"the sandbox did not start within {_START_LIMIT} s")
        self._raise_failure()
        # A daemon thread would be cut off in the middle of its cleaning up.
        atexit.register(self.close)
        return self

    def _raise_failure(self) -> None:
        if self._failure is not None and self._thread is not None:
            self._thread.join()
            self._thread = None
            raise self._failure

    def close(self) -> None:
        """Stop the server and end every process in its pods. Does nothing if it is not running."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        atexit.unregister(self.close)
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def on_exec(self, argv: str | None, *found: Fault, times: int | None = None) -> None:
        """Let execs meet faults.

        Args:
            argv: Which: those with this element in their argv, or with one that contains it; None and "*" mean all.
            found: The faults, applied in this order.
            times: For how many execs; None is for all.
        """

        def applies(given: list[str]) -> bool:
            return argv in (None, "*") or any(str(argv) in element for element in given)

        with self._cluster.lock:
            self._cluster.exec_rules.append(Rule(applies, found, times))

    def on_request(self, method: str, path: str, *found: Fault, times: int | None = None) -> None:
        """Let requests meet faults (`faults.refuse`) whose method this is and whose path with query contains `path`."""

        def applies(given_method: str, given_path: str) -> bool:
            return method in ("*", given_method) and path in given_path

        with self._cluster.lock:
            self._cluster.request_rules.append(Rule(applies, found, times))

    def clear_faults(self) -> None:
        """Take all faults back, for the requests to come."""
        with self._cluster.lock:
            self._cluster.exec_rules.clear()
            self._cluster.request_rules.clear()

    def restart_container(
        self,
        pod: str,
        container: str = "main",
        *,
        namespace: str = "default",
        exit_code: int = 0,
        reason: str = "Completed",
    ) -> None:
        """Let a container's main process end: its commands are killed, its files are gone, its restart is counted.

        Args:
            exit_code: What it ended with; 137 where the kernel killed it.
            reason: What the runtime says of it: 'Completed', 'Error' or 'OOMKilled'.

        Raises:
            LookupError: If there is no such container running.
        """

        def restart(found: Pod) -> None:
            if (namespace, pod, container) not in self._cluster.containers:
                raise LookupError(f"no container {container} runs in pod {namespace}/{pod}")
            self._cluster.restart(found, container, exit_code=exit_code, reason=reason)

        self._change(namespace, pod, restart)

    def evict_pod(self, pod: str, *, namespace: str = "default", message: str) -> None:
        """Let the kubelet evict a pod: its commands are killed, and it stays as failed, with this message.

        Raises:
            LookupError: If there is no such pod.
        """
        self._change(namespace, pod, lambda found: self._cluster.fail(found, "Evicted", message))

    def lose_node(self) -> None:
        """Let the node be heard of no more: streams end without a word, commands run on, none can be started."""
        self._call(self._cluster.lose_node)

    def recover_node(self) -> None:
        """Let the node be ready again."""
        self._cluster.node_ready = True

    def _change(self, namespace: str, pod: str, change: Callable[[Pod], None]) -> None:
        def find_and_change() -> None:
            found = self._cluster.find(namespace, pod)
            if found is None:
                raise LookupError(f"there is no pod {namespace}/{pod}")
            change(found)

        self._call(find_and_change)

    def _call(self, function: Callable[[], None]) -> None:
        """Have the server's own thread do something, and wait for it."""

        async def call() -> None:
            function()

        if self._loop is None:
            raise LookupError("the sandbox is not running")
        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that have arrived so far, in order; of very many (`records.MAX_REQUESTS`) the last."""
        return self._cluster.record.read()

    def forget_requests(self) -> None:
        """Let `requests` begin anew."""
        self._cluster.record.forget()

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as exc:
            # It belongs to whoever waits in `start`; after that there is nobody but the thread's own hook.
            if self._started.is_set():
                raise
            self._failure = exc
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        listener = socket.create_server(("127.0.0.1", self._port))
        folder = Path(tempfile.mkdtemp(prefix="kexec-sandbox-"))
        node = Node(folder, isolate=self._isolate, busybox=self._busybox)
        try:
            await node.probe()
            self.isolation = node.isolation
            self._cluster.populate(node)
            certificates = Certificates()
            routes = Routes(self._cluster)
            http = web.Server(routes.handle, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE, access_log=None)
            server = await self._loop.create_server(http, sock=listener, ssl=certificates.server_context())
            self.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            self.kubeconfig = Path(self._kubeconfig) if self._kubeconfig else folder / "kubeconfig"
            write_kubeconfig(self.kubeconfig, self.url, certificates, _CONTEXTS)
            self._started.set()
            await self._stopping.wait()
            server.close()
            # A TLS transport that is only closed waits for the client's goodbye, which may never come.
            for connection in http.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            # Not 0, which aiohttp takes for no limit: then it waits for ever for a client that keeps its connection.
            await http.shutdown(0.05)
            for task in self._cluster.running:
                task.cancel()
            await asyncio.gather(*self._cluster.running, return_exceptions=True)
        finally:
            listener.close()
            node.close()
