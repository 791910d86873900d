"""Both channels of a run on one screen: grouped, in order, at the pace of the kernel's budget."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from kexec_magic.execution.quantities import format_size
from kexec_magic.execution.result import ExecResult
from kexec_magic.notebook.view.audience import Audience
from kexec_magic.notebook.view.budget import Budget, cost_of
from kexec_magic.notebook.view.channel_view import ChannelView
from kexec_magic.notebook.view.omission import Omission
from kexec_magic.wire.channels import Channel

__all__ = ["Screen", "write_to_stream"]

# stdout and stderr are two streams for Jupyter, each sent on a clock of its own. Within a slice of this many seconds
# their output is grouped by channel; between slices the order holds. nbclient makes an output of every write, and
# nobody watches: there a slice is longer.
_SLICE = 0.1
_UNWATCHED_SLICE = 1.0

# A change of channel makes an output item, and JupyterLab folds away all but 50. After some changes, each makes a
# line wait longer for lines of the same channel to be shown with it.
_PROMPT_CHANGES = 8
_GROWTH = 1.25
_LONGEST_WAIT = 2.0

# How often a line that is written over is shown anew: every 0.25 s, and rarer the longer the run lasts, so that a bar
# of 80 bytes fills no cell's share in a day.
_ANEW = 0.25
_ANEW_SHARE = 1 / 200
_ANEW_LONGEST = 5.0

# While output is left out, a line says how much: after some seconds, and rarer the longer the run lasts.
_NOTICE = 2.0
_NOTICE_SHARE = 1 / 50

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_LINE = 200  # bytes, about

# How long a run that has ended waits for the budget, in seconds, before it leaves out what is a little too much.
_PATIENCE = 2.0


def write_to_stream(channel: Channel, text: str) -> None:
    """Write to `sys.stdout` or `sys.stderr`, at once: on their own timers one would overtake the other."""
    stream = sys.stdout if channel is Channel.STDOUT else sys.stderr
    stream.write(text)
    stream.flush()


class Screen:
    """Shows a run while it goes on. Call `finish` at its end.

    Args:
        budget: The kernel's.
        audience: Who reads it.
        clock: Monotonic seconds.
        sleep: Waits for some seconds.
        write: Takes text for a channel; each call is a message.
    """

    def __init__(
        self,
        budget: Budget,
        audience: Audience,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        write: Callable[[Channel, str], object] = write_to_stream,
    ) -> None:
        self._budget, self._audience = budget, audience
        self._clock, self._sleep, self._write_text = clock, sleep, write
        allowance = budget.allowance(audience.cell)
        self._views = {channel: ChannelView(channel, allowance) for channel in (Channel.STDOUT, Channel.STDERR)}
        self._slice = _SLICE if audience.sees_changes else _UNWATCHED_SLICE
        # The channels that may have something to show, in the order in which they first spoke in this slice.
        self._speakers: dict[Channel, None] = {}
        self._current: Channel | None = None
        self._changes = 0
        self._started = clock()
        self._written = self._changed = self._anew = self._started - max(_UNWATCHED_SLICE, _LONGEST_WAIT)
        # The line that says how much is left out so far, on which channel; None while there is none, or no more.
        self._notice: tuple[Channel, str] | None = None
        self._noticed = self._started
        self._is_noticing = audience.sees_changes

    def add(self, channel: Channel, data: bytes) -> None:
        """Take output of a command, cut anywhere; `tick` shows it, or `finish`."""
        self._speakers.setdefault(channel)
        self._views[channel].add(data)

    def tick(self) -> None:
        """Show what has waited for a slice."""
        if self._speakers and self._clock() - self._written >= self._slice:
            self._show()
        if self._is_noticing:
            self._tell_progress()

    def write_line(self, channel: Channel, text: str) -> None:
        """Write a line of ours, after the output that came before it."""
        self._show(at_once=True)
        self._say(channel, text)

    def finish(self, result: ExecResult | None = None, *, name: str = "") -> None:
        """Show the rest; where something has to be left out, one line that says how much, and its last lines.

        Args:
            result: What holds all that was left out; None where the run raised instead.
            name: The variable that holds the result.
        """
        for channel, view in self._views.items():
            view.finish()
            self._speakers.setdefault(channel)
        self._show(at_once=True)
        end = self._clock() + _PATIENCE
        while self._is_waiting and not self._omissions() and self._clock() < end:
            self._sleep(_SLICE)
            self._show(at_once=True)
        for view in self._views.values():
            view.give_up()
        omissions = self._omissions()
        if omissions:
            tails = {channel: omission.take_tail() for channel, omission in omissions.items()}
            place = "" if result is None else _place(list(omissions), result, name)
            # On stdout if anything of it is left out: where streams are merged by name, its head and tail would join.
            self._say(next(iter(omissions)), f"{_ELLIPSIS} {_amount(omissions)} not shown{place}")
            for channel, tail in tails.items():
                self._spend(channel, tail)

    @property
    def _is_waiting(self) -> bool:
        return any(view.is_waiting for view in self._views.values())

    def _omissions(self) -> dict[Channel, Omission]:
        return {channel: view.omission for channel, view in self._views.items() if view.omission is not None}

    def _show(self, *, at_once: bool = False) -> None:
        now = self._clock()
        may_change = at_once or now - self._changed >= self._wait()
        speakers = list(self._speakers)
        if self._changes >= _PROMPT_CHANGES:
            # Then a slice begins with the channel that the last one ended with: half as many changes.
            speakers.sort(key=lambda channel: channel is not self._current)
        for channel in speakers:
            if channel is self._current or self._current is None or may_change:
                self._show_channel(channel, now)
        self._written = now

    def _wait(self) -> float:
        """Give the seconds between two changes of channel."""
        return min(self._slice * _GROWTH ** max(0, self._changes - _PROMPT_CHANGES), _LONGEST_WAIT)

    def _show_channel(self, channel: Channel, now: float) -> None:
        view, sees_changes = self._views[channel], self._audience.sees_changes
        pause = min(max(_ANEW, (now - self._started) * _ANEW_SHARE), _ANEW_LONGEST)
        has_update = sees_changes and view.has_update(overwriting=now - self._anew >= pause)
        granted = self._budget.draw(max(view.cost, 1)) if view.is_waiting or has_update else 0
        if granted:
            text, cost = view.take(granted)
            if has_update and not view.is_waiting:
                if view.is_overwritten:
                    self._anew = now
                update, more = view.update()
                text, cost = text + update, cost + more
            self._budget.settle(granted, cost)
            self._withdraw_notice()
            self._write(channel, text)
        if not view.is_waiting and not (sees_changes and view.has_update(overwriting=True)):
            del self._speakers[channel]

    def _tell_progress(self) -> None:
        """Show, in a line that is written over, how much has been left out; until something else is to be shown."""
        now = self._clock()
        omissions = {channel: found for channel, found in self._omissions().items() if found.whole() is None}
        pause = max(_NOTICE, (now - self._started) * _NOTICE_SHARE)
        if not omissions or self._is_waiting or now - self._noticed < pause or not self._budget.draw(_LINE):
            return
        channel = next(iter(omissions)) if self._notice is None else self._notice[0]
        before, width = ("\n" if self._views[channel].is_mid_line else "", 0)
        if self._notice is not None:
            before, width = "\r", len(self._notice[1])
        text = f"{_ELLIPSIS} {_amount(omissions)} not shown so far".ljust(width)
        self._notice, self._noticed = (channel, text), now
        self._write(channel, before + text)

    def _withdraw_notice(self) -> None:
        """Blank the notice: what comes next may be on the other channel, and would leave it standing."""
        if self._notice is not None:
            channel, text = self._notice
            self._notice, self._is_noticing = None, False
            self._write(channel, f"\r{' ' * len(text)}\r")

    def _say(self, channel: Channel, text: str) -> None:
        """Write a line of ours, whatever the budget holds."""
        self._withdraw_notice()
        view = self._views[channel]
        before = "\n" if view.is_mid_line else ""
        view.interrupt()
        self._spend(channel, f"{before}{text}\n")

    def _spend(self, channel: Channel, text: str) -> None:
        if text:
            self._budget.spend(cost_of(text))
            self._write(channel, text)

    def _write(self, channel: Channel, text: str) -> None:
        if channel is not self._current:
            self._changes += self._current is not None
            self._current, self._changed = channel, self._clock()
        self._views[channel].is_mid_line = not text.endswith(("\n", "\r"))
        self._write_text(channel, text)


def _amount(omissions: dict[Channel, Omission]) -> str:
    parts = []
    for channel, omission in omissions.items():
        lines = f" ({omission.lines:,} lines)" if omission.lines > 1 else ""
        parts.append(f"{format_size(omission.size)} of {channel.name.lower()}{lines}")
    return " and ".join(parts)


def _place(channels: list[Channel], result: ExecResult, name: str) -> str:
    names = " and ".join(f"{name}.{channel.name.lower()}" for channel in channels)
    verb = "has" if len(channels) == 1 else "have"
    return f": {names} {verb} {'what was kept' if result.truncated else 'all of it'}"
