"""The sandbox's own certificate authority, the certificates it issues, and the kubeconfig that holds them."""

from __future__ import annotations

import base64
import os
import ssl
from pathlib import Path
from typing import Any

import trustme
import yaml

__all__ = ["Certificates", "write_kubeconfig"]

_CLUSTER = "sandbox"


class Certificates:
    """Made anew for every sandbox, in memory: no key outlives it."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="kexec_magic sandbox")
        self._server = self._authority.issue_cert("127.0.0.1", "localhost")
        # trustme puts organization and common name into the subject as Kubernetes reads them: group and user.
        self._client = self._authority.issue_cert(
            "admin.sandbox.invalid", common_name="admin", organization_name="system:masters"
        )

    def server_context(self) -> ssl.SSLContext:
        """Give the server's side of TLS; a client may bring a certificate and need not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        self._authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def authority(self) -> bytes:
        """The CA's certificate, PEM."""
        return self._authority.cert_pem.bytes()

    @property
    def client(self) -> tuple[bytes, bytes]:
        """The client's certificate and key, PEM."""
        return self._client.cert_chain_pems[0].bytes(), self._client.private_key_pem.bytes()


def write_kubeconfig(path: Path, url: str, certificates: Certificates, tokens: dict[str, str]) -> None:
    """Write the kubeconfig, readable by its owner alone.

    Args:
        path: Where to; a file there is replaced.
        url: The server's address.
        certificates: What goes inline.
        tokens: Context name to token; the context `sandbox`, the current one, has the client certificate.
    """
    certificate, key = certificates.client
    users: dict[str, dict[str, str]] = {
        _CLUSTER: {"client-certificate-data": _inline(certificate), "client-key-data": _inline(key)}
    }
    users |= {name: {"token": token} for name, token in tokens.items()}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": _CLUSTER,
                "cluster": {"server": url, "certificate-authority-data": _inline(certificates.authority)},
            }
        ],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [
            {"name": name, "context": {"cluster": _CLUSTER, "user": name, "namespace": "default"}} for name in users
        ],
        "current-context": _CLUSTER,
    }
    # Written beside and moved there: whoever waits for the file never sees half of it, nor anybody else's mode.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    draft.replace(path)


def _inline(content: bytes) -> str:
    return base64.b64encode(content).decode()
