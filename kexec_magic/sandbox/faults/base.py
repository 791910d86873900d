"""What every fault is: a server without fault, of which each kind spoils a part."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexec_magic.sandbox.streams import ExecStream

__all__ = ["Fault", "Refusal"]


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

    def final(self, stream: ExecStream, payload: bytes | None) -> Iterable[bytes | None]:
        """Replace the last message of the error channel; None stands for the silence of legacy subprotocols."""
        return (payload,)

    async def ending(self, stream: ExecStream) -> None:
        """Act after the Status and before the close frame."""
