"""Who listens to a run for a notebook: output goes to the screen, remarks and requests become lines of their own."""

from __future__ import annotations

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.execution.listener import Listener
from kexec_magic.notebook.view.screen import Screen
from kexec_magic.wire.channels import Channel

__all__ = ["StreamDisplay", "format_exchange"]


class StreamDisplay(Listener):
    """Shows a run on a screen while it goes on.

    Args:
        screen: Where to.
        show_output: False shows no output of the command, only notes.
        show_exchanges: Whether to show the requests, as `-v` asks for.
    """

    def __init__(self, screen: Screen, *, show_output: bool = True, show_exchanges: bool = False) -> None:
        self._screen = screen
        self._show_output = show_output
        self._show_exchanges = show_exchanges

    def on_note(self, text: str) -> None:
        """Write a remark as a line of its own on stderr, where kubectl writes its own."""
        self._screen.write_line(Channel.STDERR, text)

    def on_exchange(self, exchange: Exchange) -> None:
        """Write a request and its answer on stderr, if asked to."""
        if self._show_exchanges:
            self.on_note(format_exchange(exchange))

    def on_output(self, channel: Channel, data: bytes) -> None:
        """Take output; it is shown at once, at the end of the slice that is going on, or left out."""
        if self._show_output:
            self._screen.add(channel, data)

    def on_tick(self) -> None:
        """Show what was held back for longer than a slice."""
        self._screen.tick()


def format_exchange(exchange: Exchange) -> str:
    """Give a request as `kubectl --v=8` logs it, credentials masked."""
    answer = "no answer" if exchange.status is None else str(exchange.status)
    subprotocol = f" {exchange.subprotocol}" if exchange.subprotocol else ""
    lines = [f"{exchange.method} {exchange.url} {answer}{subprotocol} in {exchange.seconds * 1000:.0f} milliseconds"]
    lines += [f"    {name}: {value}" for name, value in exchange.request_headers.items()]
    return "\n".join(lines)
