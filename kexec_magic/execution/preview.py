"""What a request would send, without sending it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kexec_magic.cluster.targets import Target, resolve
from kexec_magic.execution.handshake import Attempt, Command, exec_path
from kexec_magic.execution.link import Link
from kexec_magic.execution.quantities import format_size
from kexec_magic.execution.request import Request
from kexec_magic.wire.supervisor import Supervision

__all__ = ["Preview", "preview"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The first handshake that a run would make, and what it would send then; its text is for people."""

    target: Target
    note: str | None
    server: str
    attempt: Attempt
    request: Request

    def __str__(self) -> str:
        request = self.request
        offered = ", ".join(subprotocol.value for subprotocol in self.attempt.offer)
        lines = [
            "nothing is sent; this would be:",
            f"  GET {self.server}{exec_path(self.target, self.attempt.command)}",
            f"  context    {self.target.context}",
            f"  target     {self.target}",
            f"  offered    {offered}",
        ]
        if not request.direct:
            lines.append("  on stdin   the supervisor, and to be run by it:")
        if request.argv is not None:
            lines.append(f"  argv       {shlex.join(request.argv)}")
        else:
            lines.append(f"  script     {_size(request.script or '')} for {shlex.join(request.shell)}")
        if request.args:
            lines.append(f"  args       {', '.join(map(_size, request.args))}")
        if request.env:
            lines.append(f"  env        {', '.join(f'{name} ({_size(value)})' for name, value in request.env.items())}")
        if request.cwd:
            lines.append(f"  cwd        {request.cwd}")
        stdin = request.stdin or b""
        size = format_size(len(stdin)) if isinstance(stdin, bytes) else "as it comes"
        lines.append(f"  stdin      {size if stdin else 'empty'}{', on a terminal' if request.tty else ''}")
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
    if request.direct:
        command = Command(request.argv or (), stdin=bool(request.stdin), tty=request.tty)
    else:
        command = Command(Supervision.argv(), stdin=True)
    return Preview(resolved.target, resolved.note, link.access.server, link.plan(command)[0], request)


def _size(text: str) -> str:
    return format_size(len(text.encode("utf-8", "surrogateescape")))
