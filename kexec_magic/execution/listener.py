"""Who is told about a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.wire.channels import Channel

__all__ = ["CallbackListener", "Listener"]


class Listener:
    """Told of a run as it goes on; every call comes from the thread that runs it. This one ignores it all."""

    def on_note(self, text: str) -> None:
        """Take a remark for the user, such as which container was chosen."""

    def on_exchange(self, exchange: Exchange) -> None:
        """Take a request that was made, with its answer and without credentials."""

    def on_output(self, channel: Channel, data: bytes) -> None:
        """Take bytes of STDOUT or STDERR; where they are cut means nothing."""

    def on_tick(self) -> None:
        """Take a moment, at least every 200 ms, to show what was held back."""


class CallbackListener(Listener):
    """Hands the output to a function of the caller: `on_output('stdout' or 'stderr', data)`."""

    def __init__(self, on_output: Callable[[str, bytes], object]) -> None:
        self._on_output = on_output

    def on_output(self, channel: Channel, data: bytes) -> None:
        """Pass the bytes on under the channel's name."""
        self._on_output(channel.name.lower(), data)
