"""Who we are to the API server: certificates, tokens, basic auth. Nothing here shows itself in a repr."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kexec_magic.errors import KubeconfigError

__all__ = ["Authorizer", "Credentials", "Secret", "fits_a_header"]

log = logging.getLogger(__name__)

# A token file is read again when it is this old, in seconds (client-go transport/token_source.go: 60 s, leeway 10 s).
_TOKEN_PERIOD = 60.0 - 10.0


class Secret:
    """Text that is only given to whoever calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text; only for the place that sends it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<secret>"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a kubeconfig's user, or a pod's service account, brings along.

    Attributes:
        client_certificate: PEM text, with `client_key`.
        token: A bearer token; with `token_file` the fallback where that cannot be read.
        token_file: A file with a bearer token that may be rotated.
        username: Basic auth, with `password`.
    """

    client_certificate: str | None = field(default=None, repr=False)
    client_key: Secret | None = None
    token: Secret | None = None
    token_file: Path | None = None
    username: str | None = None
    password: Secret | None = None

    def describe(self) -> str:
        """Say what kind of credentials these are, for an error message."""
        kinds = []
        if self.client_certificate is not None:
            kinds.append("a client certificate")
        if self.token_file is not None:
            kinds.append(f"the token in {self.token_file}")
        elif self.token is not None:
            kinds.append("a bearer token")
        if self.username is not None:
            kinds.append(f"user name {self.username!r} with a password")
        return " and ".join(kinds) or "no credentials"


def fits_a_header(text: str) -> bool:
    """Whether a text can stand in an HTTP header: a line end would begin another one (RFC 9110, 5.5)."""
    return text.isascii() and text.isprintable()


class Authorizer:
    """Gives the Authorization header of the moment.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, credentials: Credentials, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._token = credentials.token
        self._read_at: float | None = None

    def headers(self) -> dict[str, str]:
        """Give the headers that tell who we are; {} where a certificate does, or nothing.

        Raises:
            KubeconfigError: If a token file was never readable and there is no other token.
        """
        credentials = self._credentials
        if credentials.token_file is not None:
            return {"Authorization": f"Bearer {self._fresh(credentials.token_file).reveal()}"}
        if credentials.token is not None:
            return {"Authorization": f"Bearer {credentials.token.reveal()}"}
        if credentials.username is not None:
            password = credentials.password.reveal() if credentials.password else ""
            pair = f"{credentials.username}:{password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _fresh(self, path: Path) -> Secret:
        """Give the file's token, read at most once a period; the last good one where it cannot be read."""
        with self._lock:
            now = self._clock()
            if self._read_at is None or now - self._read_at >= _TOKEN_PERIOD:
                try:
                    text = path.read_text(encoding="utf-8").strip()
                    if not text:
                        raise OSError("the file is empty")
                    if not fits_a_header(text):
                        raise OSError("it holds characters that no HTTP header may have")
                    self._token = Secret(text)
                    self._read_at = now
                except (OSError, ValueError) as error:
                    why = f"the token file {path} cannot be read: {getattr(error, 'strerror', None) or error}"
                    if self._token is None:
                        raise KubeconfigError(why, path=str(path), hint="log in again, or correct tokenFile") from error
                    log.info("%s; the last good token is used", why)
            if self._token is None:
                raise KubeconfigError(f"the token file {path} holds no token", path=str(path))
            return self._token
