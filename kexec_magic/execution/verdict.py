"""From how a connection ended to what is known about the command."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kexec_magic.execution.result import Outcome, describe_exit, printable
from kexec_magic.wire.protocol import Ended
from kexec_magic.wire.status import Status

__all__ = ["Verdict", "judge", "not_run"]

_NO_SUCH_PROGRAM = re.compile(
    r'exec: \\?"([^"\\]+)\\?": (?:stat [^:]+: )?(?:executable file not found|no such file or directory)'
)
_MAX_MESSAGE = 300

_MAY_STILL_RUN = "the command may have done all, part or nothing, and may still run: look before you run it again"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The part of a result that says how the run ended; its fields are those of `ExecResult`."""

    outcome: Outcome
    exit_code: int | None
    complete: bool
    reason: str | None
    hint: str | None


def judge(ended: Ended, *, had_output: bool, lost_because: str) -> Verdict:
    """Say what an end proves: an exit code, a start that failed, or nothing."""
    status = ended.status
    if not ended.proved or (status is None and not ended.clean):
        said = f"; its last word was: {_shown(status.message)}" if status else ""
        return Verdict(
            Outcome.LOST,
            None,
            complete=False,
            reason=f"the connection was lost before the end: {lost_because or 'closed without a Status'}{said}",
            hint=_MAY_STILL_RUN,
        )
    if status is None or status.success:
        return Verdict(Outcome.EXITED, 0, complete=True, reason=None, hint=None)
    if status.exit_code is not None:
        reason, hint = describe_exit(status.exit_code)
        return Verdict(Outcome.EXITED, status.exit_code, complete=True, reason=reason, hint=hint)
    if status.never_started and not had_output:
        reason, hint = not_run(status)
        return Verdict(Outcome.START_FAILED, None, complete=True, reason=reason, hint=hint)
    said = _shown(status.message) or status.reason or "a failure without a message"
    return Verdict(
        Outcome.LOST,
        None,
        complete=True,
        reason=f"the server told no exit code: {said}",
        hint=_MAY_STILL_RUN,
    )


def not_run(status: Status) -> tuple[str, str]:
    """Say why a command did not start: a reason, and a hint."""
    missing = _NO_SUCH_PROGRAM.search(status.message)
    if missing is None:
        return f"the command did not start: {_shown(status.message)}", "nothing ran; it is safe to run it again"
    program = printable(missing[1])
    if program in ("sh", "/bin/sh"):
        return (
            "the container has no shell: there is no 'sh' in it",
            "run a program of the image instead, as in `%kexec POD -- PROGRAM ARGUMENTS`",
        )
    return (
        f"the container has no command {program!r}",
        "it has to be a program in the container's PATH, or a path; a shell's builtins need a cell: `%%kexec POD`",
    )


def _shown(message: str) -> str:
    text = printable(message.strip())
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
