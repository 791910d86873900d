"""A Kubernetes API server of our own, for demonstrations and tests: `with Sandbox() as sandbox: sandbox.kubeconfig`.

It is written from the Kubernetes side and shares no code with the client. Nothing here is meant for production: it
knows a handful of pods and users, and the requests that a client makes before and for an exec.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexec_magic.sandbox.server import Sandbox

__all__ = ["Sandbox"]

if any(importlib.util.find_spec(name) is None for name in ("aiohttp", "trustme")):
    raise ImportError("the sandbox needs more packages: pip install 'kexec-magic[sandbox]'")


def __getattr__(name: str) -> Any:
    # Late, because the process that runs the containers imports this package too and needs none of it.
    if name == "Sandbox":
        from kexec_magic.sandbox.server import Sandbox

        return Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
