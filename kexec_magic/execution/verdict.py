"""From how a connection ended to what is known about the command."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, replace

from kexec_magic.errors import ApiError, ClusterUnreachable, ProtocolError
from kexec_magic.execution.inquest import LOOK_FIRST, Finding
from kexec_magic.execution.request import Request
from kexec_magic.execution.result import Outcome, describe_exit, printable
from kexec_magic.wire.protocol import Ended
from kexec_magic.wire.status import Status

__all__ = [
    "Evidence",
    "Verdict",
    "assured",
    "interrupted_after",
    "is_unexplained",
    "judge",
    "judge_stop",
    "lacking",
    "lacks_shell",
    "may_be_told_later",
    "nothing_ran",
    "still_running",
]

_NO_SUCH_PROGRAM = re.compile(
    r'exec: \\?"([^"\\]+)\\?": (?:stat [^:]+: )?(?:executable file not found|no such file or directory)'
)
_MAX_MESSAGE = 300
_TOO_MANY = 429

# What a run ends with that its supervisor ends: by TERM, by KILL, or together with who tells of it.
_TERMINATED, _KILLED = 128 + signal.SIGTERM, 128 + signal.SIGKILL
_EXPIRED = (None, _TERMINATED, _KILLED)

_MORE_MEMORY = "give the container a higher memory limit, or let the command use less; it may have done a part"
_NOTHING_RAN = "nothing ran; it is safe to run it again"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The part of a result that says how the run ended; its fields are those of `ExecResult`."""

    outcome: Outcome
    exit_code: int | None
    complete: bool
    reason: str | None
    hint: str | None
    still_running: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that came of a run.

    Attributes:
        ended: How its connection ended; None if it did not.
        exit_code: What the supervisor told on both channels; None if it did not.
        supervised: Whether there was a supervisor.
        kept_running: Whether the supervisor was told to leave the command alone.
        oom_kills: How often memory ran out in the container meanwhile, as the supervisor told; None if it did not.
        may_have_run: Whether anything was sent that may have started the command.
        began: Whether the supervisor told that it was about to start the command.
        had_output: Whether anything arrived on stdout or stderr.
        lost_because: How the connection ended, in a few words, where nothing was proved.
        ended_from_afar: Why the run was ended in the pod without anybody's wish; '' if it was not.
        found: The processes that were found alive at the last look; None where nobody looked.
        finding: What a second look at the pod found; None where there was none.
    """

    ended: Ended | None
    exit_code: int | None
    oom_kills: int | None
    supervised: bool
    kept_running: bool
    may_have_run: bool
    began: bool
    had_output: bool
    lost_because: str
    ended_from_afar: str
    found: tuple[int, ...] | None
    finding: Finding | None = None

    @property
    def proved_code(self) -> int | None:
        """The exit code, if supervisor and server proved one between them and do not contradict each other."""
        status = self.ended.status if self.ended is not None and self.ended.proved else None
        said = None if status is None else status.exit_code
        if self.exit_code is None or said is None:
            return self.exit_code if said is None else said
        return said if said == self.exit_code else None


def judge(evidence: Evidence) -> Verdict:
    """Say what the end of a run that nobody stopped proves: an exit code, a start that failed, or nothing."""
    ended, told = evidence.ended, evidence.exit_code
    status = ended.status if ended is not None else None
    proved = ended is not None and ended.proved
    # On legacy subprotocols a success is told by silence.
    code = (0 if status is None else status.exit_code) if proved else None
    if evidence.ended_from_afar and (code if told is None else told) in _EXPIRED:
        return _lost(evidence.ended_from_afar, LOOK_FIRST, finding=evidence.finding)
    if told is not None and code not in (None, told):
        reason = f"the server told exit code {code}, and the supervisor in the pod {told}"
        return _lost(reason, f"{LOOK_FIRST}; a proxy or a container runtime in between may be at fault")
    if told is not None:
        return _exited(told, evidence)
    if not proved:
        said = f"; its last word was: {_shown(status.message)}" if status else ""
        how = f"{evidence.lost_because or 'closed without a Status'}{said}"
        if not evidence.may_have_run:
            return Verdict(
                Outcome.START_FAILED, None, True, f"the connection was lost before anything ran: {how}", _NOTHING_RAN
            )
        reason = f"the connection was lost before the end: {how}"
        return _lost(reason, _after_a_loss(evidence), finding=evidence.finding)
    if code == 0 and evidence.began:
        # Kata containers end an exec so after its first output (kata-containers #13640).
        return _lost("the server told of success before the command had ended", LOOK_FIRST)
    if code is not None:
        return _exited(code, evidence)
    if status is not None and status.never_started and not evidence.had_output:
        reason, hint = _not_run(status)
        return Verdict(Outcome.START_FAILED, None, True, reason, hint)
    said = (_shown(status.message) or status.reason) if status else ""
    reason = f"the server told no exit code: {said or 'a failure without a message'}"
    return _lost(reason, _after_a_loss(evidence), complete=True, finding=evidence.finding)


def is_unexplained(verdict: Verdict, evidence: Evidence) -> bool:
    """Whether the run's own end leaves open why: it was killed, or it was lost, and nobody meant that."""
    if verdict.outcome is Outcome.LOST:
        return evidence.exit_code is None
    return verdict.exit_code in (_TERMINATED, _KILLED) and not evidence.oom_kills


def may_be_told_later(verdict: Verdict, evidence: Evidence) -> bool:
    """Whether the whole container may have ended, of which its pod tells a moment later.

    It takes the supervisor along: where that told of the end, the container was still there.
    """
    return verdict.exit_code == _KILLED and evidence.exit_code is None


def interrupted_after(verdict: Verdict) -> Verdict:
    """Give the verdict on a run that had ended when somebody interrupted what was left to do for it."""
    return replace(verdict, outcome=Outcome.INTERRUPTED, reason=f"interrupted; the run had ended: {verdict.reason}")


def judge_stop(evidence: Evidence, outcome: Outcome, why: str, *, signal: str, pod: str) -> Verdict:
    """Say what is known of a run that was stopped from this side.

    Args:
        outcome: TIMED_OUT or INTERRUPTED.
        why: The reason for the stop, as the text begins.
        signal: The last signal that was sent, '' if none was.
    """
    code, left = evidence.proved_code, evidence.found or ()
    complete = code is not None and not left
    if not evidence.supervised:
        hint = f"the command may still run in pod {pod!r}: without a supervisor a stop only disconnects"
        return Verdict(outcome, code, complete, why, hint)
    if left:
        reason = f"{why}, and {_processes(left)} in pod {pod!r} after {signal or 'no signal'}"
        return Verdict(outcome, code, False, reason, _ps_hint(pod, left), left)
    if evidence.found is None:
        hint = _after_a_loss(evidence) if not evidence.kept_running else f"it may still run in pod {pod!r}"
        return Verdict(outcome, code, False, f"{why}; its end could not be confirmed", hint)
    if code is None:
        return Verdict(outcome, None, False, f"{why}; ended, by SIG{signal}", None)
    if code > 128:
        return Verdict(outcome, code, complete, f"{why}; ended by {_signal_name(code - 128)}", None)
    return Verdict(outcome, code, complete, f"{why}; it ended with exit code {code} after SIG{signal}", None)


def nothing_ran(outcome: Outcome, why: str) -> Verdict:
    """Give the verdict on a run that was stopped before it began."""
    return Verdict(outcome, None, False, f"{why} before anything ran", _NOTHING_RAN)


def assured(error: Exception, *, may_have_run: bool) -> Exception:
    """Give an error of the way to the pod with a word on whether it is safe to run again, where it does not show."""
    match error:
        case ApiError(code=code) if code < 500 and code != _TOO_MANY:
            return error
        case ApiError() | ClusterUnreachable() | ProtocolError():
            word = LOOK_FIRST if may_have_run else _NOTHING_RAN
            if word not in (error.hint or ""):
                error.hint = f"{error.hint}; {word}" if error.hint else word
    return error


def lacking(lack: str, request: Request) -> Verdict:
    """Say what a command did not find that it needs to start."""
    program = (request.argv or request.shell)[0]
    match lack:
        case "shell":
            reason, hint = _NO_SHELL
        case "folder":
            reason = f"the container has no folder {request.cwd!r} to run in"
            hint = "`ls -d FOLDER` in a cell tells; nothing ran"
        case "dd":
            reason = "the container has no dd to count input with, which this server's subprotocol needs"
            hint = "send the input as part of the script, or take an image with dd; nothing ran"
        case _:
            reason, hint = _no_program(program)
    return Verdict(Outcome.START_FAILED, None, True, reason, hint)


def still_running(pids: tuple[int, ...], pod: str) -> str:
    """Say that processes outlived their run."""
    return f"{_processes(pids)} in pod {pod!r}"


def lacks_shell(status: Status) -> bool:
    """Whether a Status says that the container has no `sh`."""
    missing = _NO_SUCH_PROGRAM.search(status.message)
    return status.never_started and missing is not None and missing[1] in ("sh", "/bin/sh")


def _lost(reason: str, hint: str, *, complete: bool = False, finding: Finding | None = None) -> Verdict:
    if finding is not None:
        reason, hint = f"{reason}; {finding.text}", finding.hint or hint
    return Verdict(Outcome.LOST, None, complete, reason, hint)


def _exited(code: int, evidence: Evidence) -> Verdict:
    if not code:
        return Verdict(Outcome.EXITED, code, True, None, None, evidence.found or ())
    cause, advice = _cause(code, evidence)
    reason, hint = describe_exit(code, cause=cause)
    return Verdict(Outcome.EXITED, code, True, reason, advice or hint, evidence.found or ())


def _cause(code: int, evidence: Evidence) -> tuple[str, str | None]:
    """Say what is known of an exit code other than 0 beyond its meaning, and what to do about it."""
    finding, kills = evidence.finding, evidence.oom_kills
    if finding is not None and finding.explains:
        return f"; {finding.text}", finding.hint
    if kills and code == _KILLED:
        return ", out of memory: the limit of the container, or of its node, was reached", _MORE_MEMORY
    if kills:
        return "; meanwhile memory ran out in the container, and the kernel killed a process there", _MORE_MEMORY
    perhaps = ", perhaps out of memory" if code == _KILLED and kills is None else ""
    return perhaps + (f"; {finding.text}" if finding is not None and finding.text else ""), None


def _after_a_loss(evidence: Evidence) -> str:
    if evidence.supervised and not evidence.kept_running:
        return f"what still runs is ended in the pod when the loss shows there; {LOOK_FIRST}"
    return f"it may still run; {LOOK_FIRST}"


def _processes(pids: tuple[int, ...]) -> str:
    numbers = ", ".join(map(str, pids[:5])) + (f" and {len(pids) - 5} more" if len(pids) > 5 else "")
    return f"process {numbers} still runs" if len(pids) == 1 else f"processes {numbers} still run"


def _ps_hint(pod: str, pids: tuple[int, ...]) -> str:
    return f"`%kexec {pod} -- cat /proc/{pids[0]}/status` tells its state"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_NO_SHELL = (
    "the container has no shell: there is no 'sh' in it",
    "run a program of the image instead, as in `%kexec POD -- PROGRAM ARGUMENTS`, without --env and --cwd",
)


def _no_program(program: str) -> tuple[str, str]:
    return (
        f"the container has no command {program!r}",
        "it has to be a program in the container's PATH, or a path; a shell's builtins need a cell: `%%kexec POD`",
    )


def _not_run(status: Status) -> tuple[str, str]:
    """Say why a command did not start: a reason, and a hint."""
    missing = _NO_SUCH_PROGRAM.search(status.message)
    if missing is None:
        return f"the command did not start: {_shown(status.message)}", _NOTHING_RAN
    program = printable(missing[1])
    return _NO_SHELL if program in ("sh", "/bin/sh") else _no_program(program)


def _shown(message: str) -> str:
    text = printable(message.strip())
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
