"""What the tests of the client expect in common: of a result, of a command, of the requests that were made."""

from __future__ import annotations

from kexec_magic import ExecResult, Outcome
from kexec_magic.sandbox import Sandbox

__all__ = ["MARK", "SECONDS", "V4", "V5", "offers", "seen"]

SECONDS = 30  # a bound for what must not hang; none of these takes that long
MARK = "echo one; echo two >&2; exit 7"
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


def seen(result: ExecResult) -> tuple[Outcome, int | None, bool]:
    """Give how a run ended, in short."""
    return result.outcome, result.exit_code, result.complete


def offers(sandbox: Sandbox, since: int) -> list[list[str]]:
    """Give what each exec request offered, from the request with that number on."""
    return [list(found.subprotocols) for found in sandbox.requests[since:] if "/exec" in found.path]
