"""One way to reach the API server: the same TCP and TLS for REST reads and for the WebSocket.

urllib3 does the connecting. Its proxies, retries and redirects stay off: what a request does is decided here.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from kexec_magic.cluster.access import Access
from kexec_magic.cluster.credentials import Authorizer
from kexec_magic.errors import ClusterUnreachable, KubeconfigError

__all__ = ["Dialer", "is_broken", "unreachable"]

# What a server may take to accept a connection, in seconds, where no deadline is nearer.
_CONNECT_SECONDS = 15.0


class Dialer:
    """Opens connections to one API server as one user.

    Attributes:
        server: The server's URL with its path prefix, without a slash at the end.
        host_header: The value of the Host header.
        path_prefix: The path before /api, '' in most clusters.
    """

    def __init__(self, access: Access) -> None:
        parts = urlsplit(access.server)
        self.server = access.server
        self.host_header = parts.netloc
        self.path_prefix = parts.path
        self._host = parts.hostname or ""
        self._port = parts.port
        self._access = access
        self._context = _tls_context(access) if access.is_tls else None
        self._authorizer = Authorizer(access.credentials)

    def headers(self) -> dict[str, str]:
        """Give the headers that tell who we are; {} where a client certificate does, or nothing."""
        return self._authorizer.headers()

    def masked(self, answer: bytes) -> bytes:
        """Give an answer without our credentials, which a debugging proxy may repeat in it."""
        for value in self.headers().values():
            answer = answer.replace(value.partition(" ")[2].encode(), b"***")
        return answer

    def describe_credentials(self) -> str:
        """Say what kind of credentials are sent, for an error message."""
        return f"{self._access.credentials.describe()} of context {self._access.context!r}"

    def pool(self) -> urllib3.HTTPConnectionPool:
        """Make a pool of connections for REST, with the same TLS as `open`."""
        if self._context is None:
            return urllib3.HTTPConnectionPool(self._host, self._port, maxsize=16, retries=False)
        pool = urllib3.HTTPSConnectionPool(
            self._host,
            self._port,
            maxsize=16,
            retries=False,
            ssl_context=self._context,
            server_hostname=self._access.tls.server_name,
        )
        if not self._access.tls.verify:
            pool.ConnectionCls = _Unverified
        return pool

    def open(self, *, deadline: float | None) -> socket.socket:
        """Give a connected socket, after TLS where the server has it.

        Args:
            deadline: Monotonic time by which it has to be connected; None leaves 15 s.

        Raises:
            ClusterUnreachable: Why there is none.
        """
        timeout = _CONNECT_SECONDS if deadline is None else min(_CONNECT_SECONDS, deadline - time.monotonic())
        if timeout <= 0:
            raise ClusterUnreachable(self.server, "the deadline passed before the connection", hint="give it more time")
        connection = self._connection(timeout)
        try:
            connection.connect()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            connection.close()
            raise unreachable(self.server, error) from error
        found: socket.socket = connection.sock
        # The connection object is done with; the socket is the caller's.
        connection.sock = None
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found

    def _connection(self, timeout: float) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(self._host, self._port, timeout=timeout)
        return HTTPSConnection(
            self._host,
            self._port,
            timeout=timeout,
            ssl_context=self._context,
            server_hostname=self._access.tls.server_name,
        )


class _Unverified(HTTPSConnection):
    """A connection whose certificate nobody checks, as the kubeconfig says; urllib3 need not warn of it each time."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


# What stands around the certificates of a file are remarks, in any language.
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def _tls_context(access: Access) -> ssl.SSLContext:
    # Only the cluster's own authority is trusted, not the system's, where there is one.
    context = ssl.create_default_context() if access.tls.ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Go does it: whoever is in the file is trusted, also one whose own issuer is not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if access.tls.ca is not None:
            context.load_verify_locations(cadata="\n".join(_CERTIFICATE.findall(access.tls.ca)))
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(
            f"the certificate authority of cluster {access.cluster!r} is no certificate",
            hint="certificate-authority(-data) has to be PEM text: -----BEGIN CERTIFICATE-----",
        ) from error
    if not access.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if access.credentials.client_certificate is not None and access.credentials.client_key is not None:
        _load_client_certificate(context, access)
    return context


def _load_client_certificate(context: ssl.SSLContext, access: Access) -> None:
    """Load certificate and key through a file that only this user can read, gone before this returns.

    Python's ssl takes them from a file alone.
    """
    credentials = access.credentials
    text = f"{credentials.client_certificate}\n{credentials.client_key.reveal() if credentials.client_key else ''}"
    with ExitStack() as stack:
        descriptor, name = tempfile.mkstemp(prefix="kexec-")  # mode 0600
        stack.callback(Path(name).unlink)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            context.load_cert_chain(name, password="")
        except (ssl.SSLError, ValueError) as error:
            raise KubeconfigError(
                f"the client certificate and key of context {access.context!r} do not load: they are no PEM, "
                "do not belong together, or the key is encrypted",
                hint="`kubectl config view --raw --minify` shows the entries",
            ) from error


def is_broken(error: BaseException) -> bool:
    """Whether a connection was there and went away before an answer, as an idle one does: worth another try."""
    return isinstance(error, (urllib3.exceptions.ProtocolError, ConnectionResetError, BrokenPipeError))


def unreachable(server: str, error: BaseException) -> ClusterUnreachable:
    """Say in a sentence why a connection failed, from whatever the libraries raised."""
    cause: BaseException | None = error
    while cause is not None:
        found = _sentence(cause)
        if found is not None:
            return ClusterUnreachable(server, found[0], hint=found[1])
        cause = getattr(cause, "reason", None) if not isinstance(cause, OSError) else None
        cause = cause if isinstance(cause, BaseException) else None
    return ClusterUnreachable(
        server, str(error.__cause__ or error) or type(error).__name__, hint="`%kuse` shows where cells go"
    )


def _sentence(error: BaseException) -> tuple[str, str] | None:
    """Give what happened and what to do, None where this layer of the error does not tell."""
    # The cause first: urllib3 calls a refused connection a kind of timeout.
    for one in (error.__cause__ or error.__context__, error):
        match one:
            case ssl.SSLCertVerificationError():
                return (
                    f"its certificate is not accepted: {one.verify_message}",
                    "check certificate-authority and tls-server-name of the cluster entry, and this machine's clock",
                )
            case ssl.SSLError():
                if "WRONG_VERSION_NUMBER" in str(one) or "HTTP_REQUEST" in str(one):
                    return "it does not speak TLS on that port", "is the server's URL https where it should be http?"
                return f"TLS failed: {one.reason or one}", "is this the API server's own port?"
            case socket.gaierror():
                return "its name cannot be resolved", "check server in the kubeconfig, DNS, and the VPN"
            case TimeoutError() | urllib3.exceptions.ConnectTimeoutError() | urllib3.exceptions.ReadTimeoutError():
                return "it did not answer in time", "is the cluster running, and is a VPN or a firewall in the way?"
            case ConnectionRefusedError():
                return (
                    "nothing listens there: connection refused",
                    "is the cluster running? `%kuse` shows where cells go",
                )
            case ConnectionError() | urllib3.exceptions.ProtocolError():
                return (
                    "the connection was closed before an answer",
                    "try again; a proxy or load balancer may be in between",
                )
            case OSError() if one.strerror:
                return one.strerror.lower(), "check server in the kubeconfig, the network, and the VPN"
    return None
