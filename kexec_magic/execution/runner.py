"""Run one request: a thread of its own talks to the server, the caller's thread keeps result, clock and interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.targets import Resolved, Target, explained, resolve
from kexec_magic.errors import PodNotRunning, TargetError
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.interrupts import interrupts_held
from kexec_magic.execution.link import Link
from kexec_magic.execution.listener import Listener
from kexec_magic.execution.mailbox import Mailbox
from kexec_magic.execution.output import Capture
from kexec_magic.execution.request import Policy, Request
from kexec_magic.execution.result import ExecResult, Outcome, format_seconds
from kexec_magic.execution.verdict import Verdict, judge
from kexec_magic.wire.protocol import Ended, Event, Opened, Output

__all__ = ["run_request"]

# The longest that output, an interrupt or the deadline waits to be noticed, in seconds.
_TICK = 0.1


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
        self._link = link
        self._request = request
        self._policies = policies
        self._listener = listener
        self._mailbox: Mailbox[Resolved | Exchange | Event | Exception] = Mailbox()
        self._connection: ExecConnection | None = None
        self._capture = Capture()
        self._opened = False
        self._given_up = False
        self._lock = threading.Lock()
        self._target = Target(
            context=link.access.context,
            namespace=request.namespace or link.access.namespace,
            pod=request.target or f"-l {request.selector}",
            container=request.container or "",
        )
        self._started = time.monotonic()
        self._deadline = None if request.timeout is None else self._started + request.timeout

    # The caller's thread -------------------------------------------------------------------------------------------

    def result(self) -> ExecResult:
        talker = threading.Thread(target=self._talk, name=f"kexec {self._target.pod}", daemon=True)
        with interrupts_held() as interrupted:
            talker.start()
            try:
                verdict = self._drain(interrupted)
            finally:
                self._give_up()
        return ExecResult(
            target=self._target,
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            complete=verdict.complete,
            reason=verdict.reason,
            hint=verdict.hint,
            duration=time.monotonic() - self._started,
            ok_codes=self._request.ok,
            capture=self._capture,
        )

    def _drain(self, interrupted: threading.Event) -> Verdict:
        while True:
            wait = _TICK if self._deadline is None else min(_TICK, self._deadline - time.monotonic())
            for item in self._mailbox.take(max(0.0, wait)):
                verdict = self._take(item)
                if verdict is not None:
                    return verdict
            self._listener.on_tick()
            if interrupted.is_set():
                return self._stopped(Outcome.INTERRUPTED, "interrupted")
            if self._is_late():
                return self._stopped(Outcome.TIMED_OUT, f"no end within {format_seconds(self._request.timeout or 0)}")

    def _take(self, item: Resolved | Exchange | Event | Exception) -> Verdict | None:
        match item:
            case Output(channel, data):
                for policy in self._policies:
                    data = policy.filter(channel, data)
                self._capture.append(channel, data)
                self._listener.on_output(channel, data)
            case Ended():
                because = self._connection.lost_because if self._connection else ""
                return judge(item, had_output=not self._capture.is_empty, lost_because=because)
            case Opened():
                self._opened = True
            case Exchange():
                self._listener.on_exchange(item)
            case Resolved(target, note):
                self._target = target
                if note:
                    self._listener.on_note(note)
            case PodNotRunning():
                return Verdict(Outcome.START_FAILED, None, complete=True, reason=item.message, hint=item.hint)
            case Exception():
                if not self._is_late():
                    raise item
        return None

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _stopped(self, outcome: Outcome, reason: str) -> Verdict:
        """Give the verdict on a run that ended from this side, after keeping what had arrived by then."""
        for item in self._mailbox.take(0):
            verdict = self._take(item)
            if verdict is not None:
                return verdict
        if self._opened:
            hint = f"the command may still run in pod {self._target.pod!r}: the connection is closed, no more is known"
        else:
            hint = "the server had not started the command yet, as far as is known; look before you run it again"
        return Verdict(outcome, None, complete=False, reason=reason, hint=hint)

    def _give_up(self) -> None:
        """End the other thread's work, wherever it is; after an ordinary end there is none left."""
        self._mailbox.close()
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                self._connection.abort()

    # The talking thread --------------------------------------------------------------------------------------------

    def _talk(self) -> None:
        try:
            self._connect_and_read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
            self._mailbox.put(error)
        finally:
            if self._connection is not None:
                self._connection.close()

    def _connect_and_read(self) -> None:
        link, request = self._link, self._request
        api = link.api.observed(self._mailbox.put)
        resolved = resolve(
            api,
            context=link.access.context,
            target=request.target,
            selector=request.selector,
            namespace=self._target.namespace,
            container=request.container,
            timeout=None if self._deadline is None else self._deadline - time.monotonic(),
        )
        self._mailbox.put(resolved)
        connection = ExecConnection(
            link.dialer, resolved.target, deadline=self._deadline, on_exchange=self._mailbox.put
        )
        with self._lock:
            if self._given_up:
                return
            self._connection = connection
        try:
            attempt = connection.open(link.plan(request.command, request.stdin))
        except TargetError as refused:
            raise explained(api, refused, resolved.target) from None
        link.remember(attempt, connection.subprotocol)
        if attempt.command.stdin and request.stdin:
            connection.write_stdin(request.stdin, end=connection.subprotocol.has_half_close)
        for event in connection.events():
            self._mailbox.put(event, size=len(event.data) if isinstance(event, Output) else 0)
