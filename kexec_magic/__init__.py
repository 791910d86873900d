"""Run notebook cells in Kubernetes pods: `%load_ext kexec_magic`, then `%%kexec POD` at the top of a cell.

The same from Python:

    from kexec_magic import run
    result = run("web-0", "ls /data | wc -l", namespace="shop", timeout=30)

Importing this package loads nothing else (PEP 562): every name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kexec_magic.cluster.pods import Pod
    from kexec_magic.cluster.targets import Target
    from kexec_magic.errors import (
        ApiError,
        ClusterError,
        ClusterUnreachable,
        CommandFailed,
        CommandInterrupted,
        CommandNotStarted,
        ConfigurationError,
        ConnectionLost,
        ContainerNotFound,
        Forbidden,
        InvalidName,
        KexecError,
        KubeconfigError,
        OptionError,
        OutputError,
        PodNotFound,
        PodNotRunning,
        ProtocolError,
        RunError,
        TargetAmbiguous,
        TargetError,
        TimedOut,
        Unauthorized,
        UnsupportedField,
    )
    from kexec_magic.execution.cluster import Cluster, run
    from kexec_magic.execution.result import ExecResult, Outcome
    from kexec_magic.execution.stdin import InputStream

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "Cluster",
    "ClusterError",
    "ClusterUnreachable",
    "CommandFailed",
    "CommandInterrupted",
    "CommandNotStarted",
    "ConfigurationError",
    "ConnectionLost",
    "ContainerNotFound",
    "ExecResult",
    "Forbidden",
    "InputStream",
    "InvalidName",
    "KexecError",
    "KubeconfigError",
    "OptionError",
    "Outcome",
    "OutputError",
    "Pod",
    "PodNotFound",
    "PodNotRunning",
    "ProtocolError",
    "RunError",
    "Target",
    "TargetAmbiguous",
    "TargetError",
    "TimedOut",
    "Unauthorized",
    "UnsupportedField",
    "load_ipython_extension",
    "run",
    "unload_ipython_extension",
]

_HOMES = {
    "Cluster": "kexec_magic.execution.cluster",
    "ExecResult": "kexec_magic.execution.result",
    "InputStream": "kexec_magic.execution.stdin",
    "Outcome": "kexec_magic.execution.result",
    "Pod": "kexec_magic.cluster.pods",
    "Target": "kexec_magic.cluster.targets",
    "run": "kexec_magic.execution.cluster",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "kexec_magic.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; `%load_ext kexec_magic` calls this."""
    from kexec_magic.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics back and close what they opened; `%unload_ext kexec_magic` calls this."""
    from kexec_magic.notebook.extension import unload

    unload(shell)
