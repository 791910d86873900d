"""What the runs on one cluster share: who we are there, and what was found out about its server and containers."""

from __future__ import annotations

from dataclasses import dataclass, field

from kexec_magic.cluster.access import Access
from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.dialer import Dialer
from kexec_magic.cluster.targets import Target
from kexec_magic.execution.handshake import Attempt, Command
from kexec_magic.wire.channels import OFFERED, Subprotocol

__all__ = ["Link"]


@dataclass(slots=True)
class Link:
    """One context's way to its API server.

    Attributes:
        offer: What to offer first; narrower than OFFERED where the list of all was refused.
        without_shell: Containers in which no `sh` was found; a container keeps its image for life.
    """

    access: Access
    dialer: Dialer
    api: ClusterApi
    offer: tuple[Subprotocol, ...] = OFFERED
    without_shell: set[Target] = field(default_factory=set)

    def plan(self, command: Command) -> list[Attempt]:
        """Give the handshakes to try, in order: both subprotocols at once, then each alone.

        A server, or a gateway before it, that does not know one of two names may refuse the list of both.
        """
        offers = [OFFERED, *((subprotocol,) for subprotocol in reversed(OFFERED))]
        offers.sort(key=lambda offer: offer != self.offer)
        return [Attempt(offer, command) for offer in offers]

    def remember(self, attempt: Attempt) -> None:
        """Keep what the server accepted for the runs to come."""
        self.offer = attempt.offer
