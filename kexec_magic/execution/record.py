"""What has come of a run so far, as it is told piece by piece: the evidence for the verdict on it."""

from __future__ import annotations

import math
import time

from kexec_magic.execution.conversation import Conversation
from kexec_magic.execution.news import News, WatchdogLost
from kexec_magic.execution.quantities import format_seconds
from kexec_magic.execution.request import Request
from kexec_magic.execution.verdict import Evidence
from kexec_magic.wire.protocol import Ended
from kexec_magic.wire.supervisor import Began, Exited, Found, Orphaned

__all__ = ["Record"]


class Record:
    """Takes news of a run, on the thread that runs its cell.

    Attributes:
        began: Whether the command was about to start.
        ended: How the run's connection ended; None before.
        exit_code: What the supervisor told; None before.
        settled_at: When it had told so on both channels, in monotonic seconds; infinite before.
        found: The processes that the last look found alive; None before the first.
        watchdog_lost_at: When the connection beside the run was lost; infinite before.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.began = False
        self.ended: Ended | None = None
        self.exit_code: int | None = None
        self.settled_at = math.inf
        self.found: tuple[int, ...] | None = None
        self.watchdog_lost_at = math.inf
        self._oom_kills: int | None = None
        self._ended_from_afar = ""

    def take(self, item: News) -> None:
        """Take note of what says something about the run; other news change nothing."""
        match item:
            case Began():
                self.began = True
            case Ended():
                self.ended = item
            case Exited(code, kills):
                self.exit_code, self._oom_kills = code, kills
                self.settled_at = time.monotonic()
            case Found(pids):
                self.found = pids
            case WatchdogLost(because):
                self._ended_from_afar = f"its watchdog's connection was lost, which ended it in the pod: {because}"
                self.watchdog_lost_at = time.monotonic()
            case Orphaned():
                silence = format_seconds(self._request.orphan_after)
                self._ended_from_afar = f"the pod heard nothing of this kernel for {silence}, and ended it"

    @property
    def has_end(self) -> bool:
        """Whether the command has ended, or nothing more will be heard of it."""
        return self.exit_code is not None or self.ended is not None

    @property
    def is_gone(self) -> bool:
        """Whether the run has ended and, as was seen after it, nothing of it is left."""
        return self.found == () and self.has_end

    @property
    def is_settled(self) -> bool:
        """Whether the command never began, or has provably ended."""
        return not self.began or self.exit_code is not None or (self.ended is not None and self.ended.proved)

    def evidence(self, conversation: Conversation, *, had_output: bool) -> Evidence:
        """Give all of it, with what the conversation knows besides."""
        return Evidence(
            ended=self.ended,
            exit_code=self.exit_code,
            oom_kills=self._oom_kills,
            may_have_run=conversation.may_have_run,
            supervised=conversation.supervised is not None,
            kept_running=self._request.keep_running,
            began=self.began,
            had_output=had_output,
            lost_because=conversation.lost_because,
            ended_from_afar=self._ended_from_afar,
            found=self.found,
        )
