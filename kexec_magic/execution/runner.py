"""Run one request: a conversation talks to the server; the caller's thread keeps result, clock and interrupts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.targets import Resolved, Target
from kexec_magic.errors import PodNotRunning
from kexec_magic.execution.conversation import Conversation
from kexec_magic.execution.inquest import INQUEST_SECONDS, Finding
from kexec_magic.execution.interrupts import Interrupts, interrupts_held
from kexec_magic.execution.ladder import Descent
from kexec_magic.execution.link import Link
from kexec_magic.execution.listener import Listener
from kexec_magic.execution.mailbox import Mailbox
from kexec_magic.execution.news import News, NoShell, Note, Unwatched
from kexec_magic.execution.output import Capture
from kexec_magic.execution.quantities import format_seconds
from kexec_magic.execution.record import Record
from kexec_magic.execution.request import Policy, Request
from kexec_magic.execution.result import ExecResult, Outcome
from kexec_magic.execution.supervised import INSPECTION_SECONDS
from kexec_magic.execution.verdict import (
    Evidence,
    Verdict,
    interrupted_after,
    is_unexplained,
    judge,
    judge_stop,
    lacking,
    may_be_told_later,
    nothing_ran,
    still_running,
)
from kexec_magic.wire.protocol import Output
from kexec_magic.wire.supervisor import NotBegun

__all__ = ["run_request"]

# The longest that output, an interrupt or the deadline waits to be noticed, in seconds.
_TICK = 0.1

# After the supervisor's marks the Status follows at once, unless something holds the streams open.
_STATUS_SECONDS = 0.5

# A run whose watchdog is lost is ended in the pod within two seconds; longer than this, nothing of that gets through.
_AFTER_WATCHDOG_SECONDS = 10.0

# The pause between two looks at what is left of a run.
_LOOK_SECONDS = 0.2


def run_request(link: Link, request: Request, policies: Sequence[Policy], listener: Listener) -> ExecResult:
    """Run a request to its end, its deadline, or an interrupt, whichever comes first.

    Returns:
        The result, whatever the outcome: an interrupt too is a result, not yet an exception.

    Raises:
        KexecError: Why there was nothing to run: no such pod, no rights, no connection.
    """
    return _Run(link, request, policies, listener).result()


class _Run:
    def __init__(self, link: Link, request: Request, policies: Sequence[Policy], listener: Listener) -> None:
        self._request, self._policies, self._listener = request, policies, listener
        self._mailbox: Mailbox[News] = Mailbox()
        self._capture = Capture(request.max_capture)
        self._truncation_told = False
        self._target = Target(
            context=link.access.context,
            namespace=request.namespace or link.access.namespace,
            pod=request.target or f"-l {request.selector}",
            container=request.container or "",
        )
        self._started = time.monotonic()
        self._deadline = None if request.timeout is None else self._started + request.timeout
        self._conversation = Conversation(link, request, self._mailbox, target=self._target, deadline=self._deadline)
        # What has come of it so far.
        self._record = Record(request)
        self._verdict: Verdict | None = None
        self._failure: Exception | None = None
        # Its end, once there is one that does not tell its reason.
        self._evidence_at_end: Evidence | None = None
        self._finding: Finding | None = None
        self._over_at = self._inquest_until = math.inf
        # The stop, once there is one.
        self._descent: Descent | None = None
        self._outcome = Outcome.INTERRUPTED
        self._seen = 0
        self._look_at = 0.0
        self._inspected_at = math.inf

    def result(self) -> ExecResult:
        is_over = False
        with interrupts_held() as interrupts:
            self._conversation.start()
            try:
                verdict = self._drain(interrupts)
                is_over = self._is_over()
            finally:
                self._mailbox.close()
                self._conversation.give_up(is_over=is_over)
                self._capture.finish()
        if self._failure is not None:
            raise self._failure
        return ExecResult(
            target=self._target,
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            complete=verdict.complete and not self._capture.truncated,
            reason=verdict.reason,
            hint=verdict.hint,
            still_running=verdict.still_running,
            duration=min(time.monotonic(), self._over_at) - self._started,
            ok_codes=self._request.ok,
            capture=self._capture,
        )

    def _drain(self, interrupts: Interrupts) -> Verdict:
        while True:
            for item in self._mailbox.take(self._patience()):
                self._take(item)
            self._tell_truncation()
            self._listener.on_tick()
            now = time.monotonic()
            if self._verdict is None:
                self._notice(interrupts, now)
            verdict = self._verdict or (self._natural_end(now) if self._descent is None else self._forced_end(now))
            if verdict is not None:
                return verdict

    def _tell_truncation(self) -> None:
        if self._capture.truncated and not self._truncation_told:
            self._truncation_told = True
            self._listener.on_note(
                f"from here on output is not kept: {self._capture.truncated_because}; the command runs on"
            )

    def _patience(self) -> float:
        """Give the seconds for which nothing can happen but what the mailbox brings."""
        now = time.monotonic()
        moments = (now + _TICK, self._deadline or 0.0, self._record.settled_at + _STATUS_SECONDS, self._look_at)
        return min(moment for moment in moments if moment > now) - now

    def _take(self, item: News) -> None:
        match item:
            case Output(channel, data):
                for policy in self._policies:
                    data = policy.filter(channel, data)
                self._capture.append(channel, data)
                self._listener.on_output(channel, data)
            case Finding():
                self._finding = item
            case Exchange():
                self._listener.on_exchange(item)
            case Resolved(target, note):
                self._target = target
                if note:
                    self._listener.on_note(note)
            case Note(text):
                self._listener.on_note(text)
            case NotBegun(lack):
                self._verdict = lacking(lack, self._request)
            case NoShell():
                self._verdict = lacking("shell", self._request)
            case Unwatched():
                self._inspected_at = -math.inf
            case PodNotRunning():
                self._verdict = Verdict(Outcome.START_FAILED, None, True, item.message, item.hint)
            case Exception():
                self._fail(item)
            case _:
                self._record.take(item)

    def _fail(self, error: Exception) -> None:
        """Take an error of the conversation: the run is over, or has to be."""
        if self._evidence_at_end is not None:
            return  # it is, and its result is known
        if self._record.began and self._descent is None:
            self._failure = error
            self._stop(Outcome.INTERRUPTED, time.monotonic())
        elif self._descent is None and not self._is_late():
            raise error

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _notice(self, interrupts: Interrupts, now: float) -> None:
        """Begin to stop, or hurry, where somebody or the clock wants that."""
        wanted, self._seen = interrupts.count > self._seen, interrupts.count
        if self._evidence_at_end is not None:
            # Nothing is left to be stopped but the search for a reason.
            if wanted:
                self._verdict = interrupted_after(judge(self._evidence_at_end))
            elif self._is_late():
                self._inquest_until = now
        elif wanted:
            self._stop(Outcome.INTERRUPTED, now)
        elif self._descent is None and self._is_late():
            self._stop(Outcome.TIMED_OUT, now)

    def _stop(self, outcome: Outcome, now: float) -> None:
        hurry = self._descent is not None
        self._outcome = outcome
        self._descent = self._descent or Descent(self._request.ladder, typed=self._request.tty, now=now)
        if self._conversation.forestall():
            self._verdict = nothing_ran(outcome, self._why())
        elif hurry and not self._descent.is_at_the_end and self._conversation.supervised is not None:
            self._conversation.supervised.signal(self._descent.step(now))

    def _why(self) -> str:
        if self._outcome is Outcome.TIMED_OUT:
            return f"no end within {format_seconds(self._request.timeout or 0)}"
        return "interrupted"

    def _natural_end(self, now: float) -> Verdict | None:
        """Give the verdict on a run that nobody stops, once there is one."""
        record, supervised = self._record, self._conversation.supervised
        until = min(record.settled_at + _STATUS_SECONDS, record.watchdog_lost_at + _AFTER_WATCHDOG_SECONDS)
        if record.ended is None and now < until:
            return None
        if record.ended is None and record.exit_code is not None and supervised is not None:
            # Something holds the streams open: a process that the command left behind.
            if self._inspected_at == math.inf:
                self._inspected_at = now
                supervised.inspect(ends=False)
            if record.found is None and now < self._inspected_at + INSPECTION_SECONDS:
                return None
            if record.found:
                self._listener.on_note(still_running(record.found, self._target.pod))
        return self._explained_end(now)

    def _explained_end(self, now: float) -> Verdict | None:
        """Give the verdict on a run that has ended, once its reason is known or has been looked for long enough."""
        # Later news are of what is done with it now, and no evidence.
        evidence = self._evidence_at_end or self._evidence()
        verdict = judge(replace(evidence, finding=self._finding))
        if self._finding is not None or now >= self._inquest_until or not is_unexplained(verdict, evidence):
            return verdict
        if self._evidence_at_end is None:
            self._evidence_at_end, self._over_at, self._inquest_until = evidence, now, now + INQUEST_SECONDS
            self._conversation.inquire(
                seconds=now - self._started,
                lost=verdict.outcome is Outcome.LOST,
                patient=may_be_told_later(verdict, evidence),
            )
        return None

    def _forced_end(self, now: float) -> Verdict | None:
        """Go on down the ladder; give the verdict once nothing is left, or nothing more can be done."""
        descent, supervised = self._descent, self._conversation.supervised
        if descent is None:
            return None
        if self._record.is_gone or supervised is None:
            return self._stopped()
        if descent.is_due(now):
            if descent.is_at_the_end:
                return self._stopped()
            supervised.signal(descent.step(now))
        if self._record.ended is not None and self._inspected_at == math.inf:
            self._inspected_at = now
            supervised.inspect(ends=True)
        if self._inspected_at == -math.inf:
            return self._stopped()
        if self._record.has_end and now >= self._look_at:
            supervised.look()
            self._look_at = now + _LOOK_SECONDS
        return None

    def _is_over(self) -> bool:
        """Whether nothing of the run is left, or only what its command meant to leave behind."""
        return self._record.is_settled if self._descent is None else self._record.is_gone

    def _stopped(self) -> Verdict:
        signal = self._descent.signal if self._descent is not None else ""
        return judge_stop(self._evidence(), self._outcome, self._why(), signal=signal, pod=self._target.pod)

    def _evidence(self) -> Evidence:
        return self._record.evidence(self._conversation, had_output=not self._capture.is_empty)
