"""A real kernel to run cells in, and what it sent while it ran them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

_SECONDS = 60


@dataclass
class Executed:
    """What came on iopub for one cell, in order; every message is checked to belong to the cell."""

    status: str
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def stream(self, name: str) -> str:
        """Give all the text of 'stdout' or 'stderr'."""
        return "".join(self.texts(name))

    def texts(self, name: str) -> list[str]:
        """Give the text of each message of 'stdout' or 'stderr'."""
        return [content["text"] for kind, content in self.messages if kind == "stream" and content["name"] == name]

    def only(self, kind: str) -> dict[str, Any]:
        """Give the one message of a kind."""
        (found,) = [content for other, content in self.messages if other == kind]
        return found

    @property
    def kinds(self) -> list[str]:
        """Give the kinds of the messages, in order."""
        return [kind for kind, _ in self.messages]


class Kernel:
    """A kernel and a client of it."""

    def __init__(self, manager: KernelManager) -> None:
        self._manager = manager
        self._client = manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_SECONDS)

    def run(
        self, code: str, *, interrupt_at: str | None = None, attended: bool = True, seconds: float = _SECONDS
    ) -> Executed:
        """Run a cell to its end.

        Args:
            interrupt_at: Interrupt the kernel when this appears in a stream.
            attended: Whether somebody could be asked, as in JupyterLab; False is what nbclient says.
            seconds: The longest silence on the way to the end.
        """
        identity = self._client.execute(code, allow_stdin=attended)
        executed = Executed(status="")
        while True:
            message = self._client.get_iopub_msg(timeout=seconds)
            assert message["parent_header"].get("msg_id") == identity, message
            kind, content = message["msg_type"], message["content"]
            if kind == "status":
                if content["execution_state"] == "idle":
                    break
                continue
            if kind == "execute_input":
                continue
            executed.messages.append((kind, content))
            executed.times.append(time.monotonic())
            if interrupt_at is not None and kind == "stream" and interrupt_at in content["text"]:
                self._manager.interrupt_kernel()
                interrupt_at = None
        executed.status = self._client.get_shell_msg(timeout=_SECONDS)["content"]["status"]
        return executed

    def value(self, expression: str) -> str:
        """Give the repr of an expression in the kernel."""
        executed = self.run(f"print(repr(({expression})), end='')")
        assert executed.status == "ok", executed.messages
        return executed.stream("stdout")

    def close(self) -> None:
        """Stop the channels; the manager's owner stops the kernel."""
        self._client.stop_channels()


@contextmanager
def kernel(kubeconfig: Path, folder: Path) -> Iterator[Kernel]:
    """Start a kernel with kexec_magic loaded and KUBECONFIG set."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(
        cwd=str(folder), env={**os.environ, "KUBECONFIG": str(kubeconfig), "IPYTHONDIR": str(folder / "ipython")}
    )
    started = Kernel(manager)
    try:
        assert started.run("%load_ext kexec_magic").status == "ok"
        yield started
    finally:
        started.close()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
