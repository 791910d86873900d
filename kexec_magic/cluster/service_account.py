"""The service account of the pod that this runs in.

Source: client-go rest/config.go (InClusterConfig); tools/clientcmd/client_config.go (inClusterClientConfig).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kexec_magic.cluster.access import Access, Tls
from kexec_magic.cluster.credentials import Credentials
from kexec_magic.errors import KubeconfigError

__all__ = ["FOLDER", "in_cluster_access"]

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def in_cluster_access(environ: Mapping[str, str], *, folder: Path = FOLDER) -> Access | None:
    """Give the access of the service account; None where this is no pod, or a pod without one.

    Raises:
        KubeconfigError: If this is a pod whose account's files cannot be read.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    token, authority = folder / "token", folder / "ca.crt"
    if not (host and port and token.exists()):
        return None
    try:
        ca = authority.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        # Go's client goes on with the system's roots here, and fails later with an error about certificates.
        raise KubeconfigError(
            f"the service account's {authority} cannot be read: {getattr(error, 'strerror', None) or 'no PEM text'}",
            path=str(authority),
            hint="check the pod's automountServiceAccountToken and its volumes",
        ) from error
    return Access(
        context="in-cluster",
        cluster="in-cluster",
        namespace=_namespace(environ, folder),
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        tls=Tls(ca=ca),
        credentials=Credentials(token_file=token),
        sources=(str(authority),),
    )


def _namespace(environ: Mapping[str, str], folder: Path) -> str:
    named = environ.get("POD_NAMESPACE", "")
    if named:
        return named
    path = folder / "namespace"
    return (path.read_text(encoding="utf-8").strip() if path.exists() else "") or "default"
