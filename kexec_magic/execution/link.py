"""What the runs on one cluster share: who we are there, and what was found out about the server."""

from __future__ import annotations

from dataclasses import dataclass

from kexec_magic.cluster.access import Access
from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.dialer import Dialer
from kexec_magic.execution.connection import Attempt, Command
from kexec_magic.wire.channels import OFFERED, Subprotocol

__all__ = ["Link"]

_COUNTED = 'head -c "$0" | { "$@"; code=$?; cat >/dev/null; exit "$code"; }'


@dataclass(slots=True)
class Link:
    """One context's way to its API server.

    Attributes:
        spoken: The subprotocol that the server agreed to last; None before the first exec.
        offer: What to offer first; narrower than OFFERED where the list of all was refused.
    """

    access: Access
    dialer: Dialer
    api: ClusterApi
    spoken: Subprotocol | None = None
    offer: tuple[Subprotocol, ...] = OFFERED

    def plan(self, command: tuple[str, ...], stdin: bytes | None) -> list[Attempt]:
        """Give the handshakes to try, in order: what to offer, and the argv that suits the offer.

        Without input one argv suits all: both subprotocols are offered at once, and each alone to a server (or a
        gateway before it) that refuses the list. With input the argv depends on the answer, since v4 cannot end
        stdin: then a refused v5 is a safe way to find out, because nothing has run.
        """
        if not stdin:
            plain = Command(command)
            offers = [OFFERED, *((subprotocol,) for subprotocol in reversed(OFFERED))]
            offers.sort(key=lambda offer: offer != self.offer)
            return [Attempt(offer, plain) for offer in offers]
        ending = Attempt((Subprotocol.V5,), Command(command, stdin=True))
        counting = Attempt((Subprotocol.V4,), Command(_counted(command, len(stdin)), stdin=True))
        return [counting, ending] if self.spoken is Subprotocol.V4 else [ending, counting]

    def remember(self, attempt: Attempt, spoken: Subprotocol) -> None:
        """Keep what the server accepted for the runs to come."""
        self.spoken = spoken
        if not attempt.command.stdin:
            self.offer = attempt.offer


def _counted(command: tuple[str, ...], size: int) -> tuple[str, ...]:
    """Wrap a command so that its input ends after `size` bytes, where the subprotocol has no end of input.

    What the command leaves unread is read after it: with 200 kB of input under way every second exec of an early
    `true` never ended on Kubernetes 1.20, because the server was stuck in writing what nobody took.
    """
    return ("sh", "-c", _COUNTED, str(size), *command)
