"""The one gate: every run of every public entrance goes through here, and so past every policy."""

from __future__ import annotations

from collections.abc import Sequence

from kexec_magic.execution.link import Link
from kexec_magic.execution.listener import Listener
from kexec_magic.execution.request import Policy, Request
from kexec_magic.execution.result import ExecResult
from kexec_magic.execution.runner import run_request

__all__ = ["execute"]


def execute(link: Link, request: Request, *, policies: Sequence[Policy], listener: Listener) -> ExecResult:
    """Run a request if no policy objects, and give its result, whatever the outcome.

    Raises:
        KexecError: What a policy objects to, or why there was nothing to run.
    """
    for policy in policies:
        policy.before(request)
    result = run_request(link, request, policies, listener)
    for policy in policies:
        policy.after(request, result)
    return result
