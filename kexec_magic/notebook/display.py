"""The live view of a run: bounded in writes, in order, and with every character whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.execution.listener import Listener
from kexec_magic.execution.output import IncrementalText
from kexec_magic.wire.channels import Channel

__all__ = ["StreamDisplay", "format_exchange"]

# stdout and stderr are two streams for Jupyter, each sent on a clock of its own. Within a slice of this many seconds
# their output is grouped by channel; between slices the order holds. That is 10 writes a second at most, and no
# output item for every change of channel.
_SLICE = 0.1


class StreamDisplay(Listener):
    """Writes a run to `sys.stdout` and `sys.stderr` as it goes on. Call `finish` at its end.

    Args:
        show_output: False shows no output of the command, only notes.
        show_exchanges: Whether to show the requests, as `-v` asks for.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, show_output: bool = True, show_exchanges: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show_output = show_output
        self._show_exchanges = show_exchanges
        self._clock = clock
        self._texts = {Channel.STDOUT: IncrementalText(), Channel.STDERR: IncrementalText()}
        # The order of insertion is the order in which the channels first spoke in this slice.
        self._pending: dict[Channel, list[str]] = {}
        self._written = clock() - _SLICE

    def on_note(self, text: str) -> None:
        """Write a remark as a line of its own on stderr, where kubectl writes its own."""
        self._flush()
        self._write(Channel.STDERR, text + "\n")

    def on_exchange(self, exchange: Exchange) -> None:
        """Write a request and its answer on stderr, if asked to."""
        if self._show_exchanges:
            self.on_note(format_exchange(exchange))

    def on_output(self, channel: Channel, data: bytes) -> None:
        """Take output; it is shown at once, or at the end of the slice that is going on."""
        if not self._show_output:
            return
        text = self._texts[channel].decode(data)
        if text:
            self._pending.setdefault(channel, []).append(text)

    def on_tick(self) -> None:
        """Show what was held back for longer than a slice."""
        if self._pending and self._clock() - self._written >= _SLICE:
            self._flush()

    def finish(self) -> None:
        """Show the rest, with what a cut character at the end left over."""
        for channel, text in self._texts.items():
            rest = text.finish()
            if rest:
                self._pending.setdefault(channel, []).append(rest)
        self._flush()

    def _flush(self) -> None:
        for channel, texts in self._pending.items():
            self._write(channel, "".join(texts))
        self._pending.clear()
        self._written = self._clock()

    @staticmethod
    def _write(channel: Channel, text: str) -> None:
        stream = sys.stdout if channel is Channel.STDOUT else sys.stderr
        stream.write(text)
        # Without this the two streams would overtake each other on their own timers.
        stream.flush()


def format_exchange(exchange: Exchange) -> str:
    """Give a request as `kubectl --v=8` logs it, credentials masked."""
    answer = "no answer" if exchange.status is None else str(exchange.status)
    subprotocol = f" {exchange.subprotocol}" if exchange.subprotocol else ""
    lines = [f"{exchange.method} {exchange.url} {answer}{subprotocol} in {exchange.seconds * 1000:.0f} milliseconds"]
    lines += [f"    {name}: {value}" for name, value in exchange.request_headers.items()]
    return "\n".join(lines)
