"""What a kubeconfig comes to: one server, how to trust it, and who we are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kexec_magic.cluster.credentials import Credentials

__all__ = ["Access", "Tls"]


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server is trusted: `ca` is PEM text, None for the system's roots; `server_name` None for the URL's."""

    ca: str | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """All that is needed to talk to one cluster as one user.

    Attributes:
        context: The context's name; 'in-cluster' for a pod's service account.
        cluster: The cluster entry's name.
        namespace: The namespace that is meant where none is given.
        server: The API server's URL, a path prefix included, without query and fragment.
        sources: The files that it was read from, as paths.
    """

    context: str
    cluster: str
    namespace: str
    server: str
    tls: Tls
    credentials: Credentials
    sources: tuple[str, ...] = ()

    @property
    def is_tls(self) -> bool:
        """Whether the server speaks https; without that it gets no credentials."""
        return urlsplit(self.server).scheme == "https"
