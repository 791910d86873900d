"""What every fault is: a server without fault, of which each kind spoils a part."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = ["Fault", "Refusal", "send_through"]


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer instead of what was asked for. Without a length the body ends with the connection."""

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_length: bool = True


class Fault:
    """A server without fault; each kind overrides what it spoils."""

    reads_stdin = True

    def for_one_exec(self) -> Fault:
        """Give a copy with a memory of its own."""
        return copy.copy(self)

    async def requested(self) -> None:
        """Act before a request is answered at all."""

    def refusal(self, offered: list[str]) -> Refusal | None:
        """Decide about a request, given the subprotocols that it offers (none for REST)."""
        return None

    async def opened(self, stream: ExecStream) -> None:
        """Act after the first, empty message and before the command starts."""

    def output(self, stream: ExecStream, channel: int, payload: bytes) -> Iterable[bytes]:
        """Replace the payload of one output message by those of any number."""
        return (payload,)

    async def output_ended(self, stream: ExecStream) -> None:
        """Act after the command has ended, with all its output, and before the Status."""

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        """Replace the last message of the error channel; None stands for the silence of legacy subprotocols."""
        return (payload,)

    async def ending(self, stream: ExecStream) -> None:
        """Act after the Status and before the close frame."""


def send_through(faults: Sequence[Fault], stream: ExecStream, channel: int, payload: bytes) -> None:
    """Send what the faults make of a payload; each piece goes out before the next is made."""
    if not faults:
        stream.send(channel, payload)
        return
    for found in faults[0].output(stream, channel, payload):
        send_through(faults[1:], stream, channel, found)
