"""What a request would send, without sending it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kexec_magic.cluster.targets import Target, resolve
from kexec_magic.execution.connection import Attempt, exec_path
from kexec_magic.execution.link import Link
from kexec_magic.execution.request import Request

__all__ = ["Preview", "preview"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The first handshake that a run would make; its text is for people."""

    target: Target
    note: str | None
    server: str
    attempt: Attempt
    stdin_size: int

    def __str__(self) -> str:
        offered = ", ".join(subprotocol.value for subprotocol in self.attempt.offer)
        lines = [
            "nothing is sent; this would be:",
            f"  GET {self.server}{exec_path(self.target, self.attempt.command)}",
            f"  context    {self.target.context}",
            f"  target     {self.target}",
            f"  offered    {offered}",
            f"  argv       {shlex.join(self.attempt.command.argv)}",
            f"  stdin      {f'{self.stdin_size} bytes' if self.stdin_size else 'empty'}",
        ]
        if self.note:
            lines.insert(1, f"  {self.note}")
        return "\n".join(lines)


def preview(link: Link, request: Request) -> Preview:
    """Look the target up and give what would be sent to it.

    Raises:
        KexecError: Why there would be nothing to run.
    """
    resolved = resolve(
        link.api,
        context=link.access.context,
        target=request.target,
        selector=request.selector,
        namespace=request.namespace or link.access.namespace,
        container=request.container,
        timeout=request.timeout,
    )
    attempt = link.plan(request.command, request.stdin)[0]
    return Preview(resolved.target, resolved.note, link.access.server, attempt, len(request.stdin or b""))
