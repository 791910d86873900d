"""The Python entrance: `run` for one command, `Cluster` for many on the same connection settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.dialer import Dialer
from kexec_magic.cluster.kubeconfig import load_access
from kexec_magic.cluster.pods import Pod
from kexec_magic.errors import OptionError
from kexec_magic.execution.gate import execute
from kexec_magic.execution.ladder import Ladder
from kexec_magic.execution.link import Link
from kexec_magic.execution.listener import CallbackListener, Listener
from kexec_magic.execution.preview import Preview, preview
from kexec_magic.execution.request import Request, as_words
from kexec_magic.execution.result import ExecResult
from kexec_magic.execution.stdin import as_stdin

__all__ = ["Cluster", "run"]


class Cluster:
    """A context of a kubeconfig, its credentials, and the connections that runs and reads on it share.

    Usable from several threads, and as a context manager that closes its idle connections.

    Args:
        context: A context's name; None for the kubeconfig's current one.
        kubeconfig: A file; None for $KUBECONFIG, then ~/.kube/config, then the pod's own service account.

    Raises:
        KubeconfigError: If nothing usable is found there.
    """

    def __init__(self, context: str | None = None, kubeconfig: str | os.PathLike[str] | None = None) -> None:
        access = load_access(context, kubeconfig)
        dialer = Dialer(access)
        self._link = Link(access, dialer, ClusterApi(dialer))

    @property
    def context(self) -> str:
        """The context's name; 'in-cluster' for a pod's service account."""
        return self._link.access.context

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is given."""
        return self._link.access.namespace

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._link.access.server

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that this was read from."""
        return tuple(Path(source) for source in self._link.access.sources)

    def run(
        self,
        target: str | None = None,
        script: str | None = None,
        *,
        argv: Sequence[str] | None = None,
        args: Iterable[object] = (),
        stdin: object = None,
        selector: str | None = None,
        namespace: str | None = None,
        container: str | None = None,
        shell: str | Sequence[str] | None = None,
        env: Mapping[str, object] | None = None,
        cwd: str | None = None,
        tty: bool = False,
        direct: bool = False,
        timeout: float | None = None,
        ok: Iterable[int] = (0,),
        keep_running: bool = False,
        orphan_after: float = 120.0,
        ladder: Sequence[float] = (3.0, 3.0, 2.0),
        max_capture: int | None = None,
        on_output: Callable[[str, bytes], object] | None = None,
    ) -> ExecResult:
        """Run a script or a program in one container and give the result, whatever the outcome.

        Args:
            target: A pod's name; instead of it a `selector` that matches exactly one pod.
            script: Text for `shell`, of any size.
            argv: A program and its arguments instead of a script, to the letter.
            args: Values that the script sees as "$1", "$2", ..., up to 128 KiB each.
            stdin: Input: str (as UTF-8), bytes, a Path, an open file, an `InputStream`, or anything with `to_csv`.
                Without it the command reads an empty input.
            namespace: None for the context's own.
            container: None for the pod's default container.
            shell: What reads the script, as "bash", "python3" or ["bash", "-e"]; None for the container's `sh`.
            env: Variables for the command, up to 128 KiB each.
            cwd: The folder to run in; None for the container's own.
            tty: Run on a terminal; stderr then arrives on stdout.
            direct: Run argv without the supervisor: then a stop only disconnects.
            timeout: Seconds for the whole run, connecting included; then it is stopped by the ladder.
            ok: The exit codes that count as success.
            keep_running: Leave the command running when the connection is lost or this process ends.
            orphan_after: Seconds without a sign of life of this process after which the run is ended in the pod.
            ladder: Seconds that a stop gives after INT, after TERM, and after KILL to confirm.
            max_capture: Bytes of output to keep, both channels together; what comes after them is counted only.
            on_output: Called with 'stdout' or 'stderr' and bytes as they arrive, on the calling thread.

        Raises:
            KexecError: Why there was nothing to run: no such pod, no rights, no connection. How a command ended is
                in the result; its `check()` raises.
        """
        for name, words in (("argv", argv), ("args", args)):
            if isinstance(words, str):
                raise OptionError(f"{name} is one text, and has to be a list of words", hint=f"write {name}=[...]")
        request = Request(
            target=target,
            selector=selector,
            namespace=namespace,
            container=container,
            script=script,
            argv=None if argv is None else tuple(argv),
            args=tuple(str(value) for value in args),
            stdin=as_stdin(stdin),
            shell=as_words(shell) if shell is not None else ("sh",),
            env={name: str(value) for name, value in (env or {}).items()},
            cwd=cwd,
            tty=tty,
            direct=direct,
            keep_running=keep_running,
            orphan_after=orphan_after,
            ladder=Ladder(*ladder),
            timeout=timeout,
            ok=tuple(ok),
            max_capture=max_capture,
        )
        return self.execute(request, listener=CallbackListener(on_output) if on_output else Listener())

    def preview(self, request: Request) -> Preview:
        """Give what a request would send: the target is looked up, nothing is run."""
        return preview(self._link, request)

    def execute(self, request: Request, *, listener: Listener) -> ExecResult:
        """Run a request and tell `listener` about it as it goes on; `run` in other words."""
        return execute(self._link, request, policies=(), listener=listener)

    def pods(
        self, namespace: str | None = None, *, selector: str | None = None, field_selector: str | None = None
    ) -> list[Pod]:
        """List pods of a namespace, None for the context's own.

        Raises:
            ClusterError: If the API server does not answer, or refuses.
        """
        return self._link.api.list_pods(
            namespace or self.namespace, label_selector=selector, field_selector=field_selector
        )

    def close(self) -> None:
        """Close idle connections; runs that go on are not touched."""
        self._link.api.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cluster {self.context} at {self.server}, namespace {self.namespace}>"


def run(
    target: str | None = None,
    script: str | None = None,
    *,
    context: str | None = None,
    kubeconfig: str | os.PathLike[str] | None = None,
    cluster: Cluster | None = None,
    argv: Sequence[str] | None = None,
    args: Iterable[object] = (),
    stdin: object = None,
    selector: str | None = None,
    namespace: str | None = None,
    container: str | None = None,
    shell: str | Sequence[str] | None = None,
    env: Mapping[str, object] | None = None,
    cwd: str | None = None,
    tty: bool = False,
    direct: bool = False,
    timeout: float | None = None,
    ok: Iterable[int] = (0,),
    keep_running: bool = False,
    orphan_after: float = 120.0,
    ladder: Sequence[float] = (3.0, 3.0, 2.0),
    max_capture: int | None = None,
    on_output: Callable[[str, bytes], object] | None = None,
) -> ExecResult:
    """Run a script or a program in one container, as `Cluster.run` does.

    Args:
        context: A context's name; None for the kubeconfig's current one.
        kubeconfig: A file; None for $KUBECONFIG, then ~/.kube/config, then the pod's own service account.
        cluster: Use this one's connections, instead of `context` and `kubeconfig`.

    The other arguments, the result and the errors are those of `Cluster.run`.
    """
    if cluster is not None and (context is not None or kubeconfig is not None):
        raise OptionError("cluster comes with its context and kubeconfig", hint="leave those two out")
    owned = cluster or Cluster(context, kubeconfig)
    try:
        return owned.run(
            target,
            script,
            argv=argv,
            args=args,
            stdin=stdin,
            selector=selector,
            namespace=namespace,
            container=container,
            shell=shell,
            env=env,
            cwd=cwd,
            tty=tty,
            direct=direct,
            timeout=timeout,
            ok=ok,
            keep_running=keep_running,
            orphan_after=orphan_after,
            ladder=ladder,
            max_capture=max_capture,
            on_output=on_output,
        )
    finally:
        if cluster is None:
            owned.close()
