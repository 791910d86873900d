"""One cluster, user or context entry of a kubeconfig, and what a cluster and a user together come to.

Source: client-go tools/clientcmd/api/v1/types.go (fields), validation.go, and transport/transport.go (contradictions).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kexec_magic.cluster.access import Access, Tls
from kexec_magic.cluster.credentials import Credentials, Secret, fits_a_header
from kexec_magic.errors import KubeconfigError, UnsupportedField

__all__ = ["Entry", "build_access"]

_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry by its kind ('cluster', 'user' or 'context') and name. Relative paths in it begin at its own file."""

    kind: str
    name: str
    fields: dict[str, Any]
    path: Path

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} of {self.path}>"  # the fields hold credentials

    def has(self, *names: str) -> bool:
        """Whether any of these fields says something; an empty text, list or mapping says nothing."""
        return any(self.fields.get(name) not in (None, "", [], {}, False) for name in names)

    def text(self, name: str) -> str:
        """Give a text field, '' where there is none."""
        value = self.fields.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(f"{name} is not text", hint="put it in quotes")
        return value

    def flag(self, name: str) -> bool:
        """Give a true-or-false field, False where there is none."""
        value = self.fields.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.error(f"{name} is neither true nor false", hint="write true or false, without quotes")
        return value

    def file(self, name: str) -> Path | None:
        """Give a path field, absolute, relative ones beginning at the folder of the entry's own file."""
        text = self.text(name)
        return Path(self.path.absolute().parent, text) if text else None

    def pem(self, name: str) -> str | None:
        """Give the text of `NAME-data`, else of the file that `NAME` points to, else None."""
        encoded = self.text(f"{name}-data")
        if encoded:
            try:
                return base64.b64decode("".join(encoded.split()), validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                raise self.error(f"{name}-data is not base64 of PEM text", hint="copy the entry again") from None
        path = self.file(name)
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not PEM text"
            raise self.error(
                f"{name} cannot be read: {why}: {path}", hint="correct the path in the kubeconfig"
            ) from error

    def error(self, what: str, *, hint: str) -> KubeconfigError:
        """Make an error that names the entry and its file."""
        return KubeconfigError(f"{self.kind} {self.name!r}: {what} ({self.path})", path=str(self.path), hint=hint)

    def unsupported(self, name: str, *, hint: str) -> UnsupportedField:
        """Make an error for a field that must not be ignored."""
        return UnsupportedField(name, owner=f"{self.kind} {self.name!r}", path=str(self.path), hint=hint)


def build_access(
    *, context: str, namespace: str, cluster: Entry, user: Entry | None, sources: tuple[str, ...]
) -> Access:
    """Put a cluster and a user together.

    Raises:
        KubeconfigError: If they contradict themselves, or ask for what is not supported.
    """
    if cluster.has("proxy-url"):
        raise cluster.unsupported("proxy-url", hint="use a context that reaches its server without a proxy")
    ca = cluster.pem("certificate-authority")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if ca is not None and insecure:
        raise cluster.error(
            "it has a certificate authority and insecure-skip-tls-verify: true",
            hint="remove insecure-skip-tls-verify; the authority is the safe one of the two",
        )
    has_tls = (
        ca is not None or insecure or (user is not None and user.has("client-certificate", "client-certificate-data"))
    )
    server = _server(cluster, default_scheme="https" if has_tls else "http")
    # Credentials are for servers that can prove who they are; kubectl sends none over plain http either.
    is_tls = urlsplit(server).scheme == "https"
    return Access(
        context=context,
        cluster=cluster.name,
        namespace=namespace,
        server=server,
        tls=Tls(ca=ca, verify=not insecure, server_name=cluster.text("tls-server-name") or None),
        credentials=_credentials(user) if user is not None and is_tls else Credentials(),
        sources=sources,
    )


def _server(cluster: Entry, *, default_scheme: str) -> str:
    text = cluster.text("server")
    if not text:
        raise cluster.error("it has no server", hint="server is the API server's URL, as https://10.0.0.1:6443")
    try:
        parts = urlsplit(text if "://" in text else f"{default_scheme}://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise cluster.error(f"its server is no URL: {text.split('@')[-1]!r}", hint="write it as https://10.0.0.1:6443")
    if parts.username or parts.password:
        raise cluster.error("its server holds a user name or a password", hint="they belong into the user entry")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _credentials(user: Entry) -> Credentials:
    if user.has(*_IMPERSONATION):
        name = next(name for name in _IMPERSONATION if user.has(name))
        raise user.unsupported(name, hint="use a context whose user has the rights itself")
    token, token_file = user.text("token"), user.file("tokenFile")
    username = user.text("username")
    if not fits_a_header(token):
        raise user.error(
            "its token holds characters that no HTTP header may have, such as a line end",
            hint="write it on one line, as `token: ...`, without `|`",
        )
    if (token or token_file) and username:
        raise user.error("it has a token and a user name with a password", hint="remove one of the two")
    if user.has("exec") and user.has("auth-provider"):
        raise user.error("it has exec and auth-provider", hint="remove auth-provider; exec is its successor")
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if (certificate is None) != (key is None):
        given, missing = (
            ("client-key", "client-certificate") if certificate is None else ("client-certificate", "client-key")
        )
        raise user.error(f"it has a {given} and no {missing}", hint=f"add {missing} or {missing}-data")
    # With credentials of its own a user's plugin is never run (client-go plugin/pkg/client/auth/exec).
    if not (token or token_file or username or certificate):
        for name in ("exec", "auth-provider"):
            if user.has(name):
                raise user.unsupported(name, hint="use a context with a token or a client certificate for now")
    return Credentials(
        client_certificate=certificate,
        client_key=Secret(key) if key else None,
        token=Secret(token) if token else None,
        token_file=token_file,
        username=username or None,
        password=Secret(user.text("password")) if username else None,
    )
