"""What the thread that runs a cell is told by those that talk to the server."""

from __future__ import annotations

from dataclasses import dataclass

from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.targets import Resolved
from kexec_magic.execution.inquest import Finding
from kexec_magic.wire.protocol import Event
from kexec_magic.wire.supervisor import Said

__all__ = ["News", "NoShell", "Note", "Unwatched", "WatchdogLost"]


@dataclass(frozen=True, slots=True)
class Note:
    """A remark for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class NoShell:
    """The container has no shell, which the request needs; nothing ran."""


@dataclass(frozen=True, slots=True)
class WatchdogLost:
    """The connection beside the run is gone, so that the run is being ended in the pod."""

    because: str


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Nobody could be sent to look at what is left of a run."""

    because: str


News = Resolved | Exchange | Event | Said | Finding | Note | NoShell | Unwatched | WatchdogLost | Exception
