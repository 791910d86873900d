"""Connecting for real: TLS by every setting, and one plain sentence for each way in which it fails."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from kexec_magic.cluster.access import Access, Tls
from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.credentials import Credentials, Secret
from kexec_magic.cluster.dialer import Dialer
from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.errors import ApiError, ClusterUnreachable, KubeconfigError, ProtocolError

AUTHORITY = trustme.CA()
CA = AUTHORITY.cert_pem.bytes().decode()


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with a pod that is named after what was sent."""

    def do_GET(self) -> None:
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        subject = str(certificate.get("subjectAltName")) if certificate else ""
        name = "|".join([self.headers.get("Authorization", ""), self.path, subject])
        repeats = self.path.endswith("/pods/repeat")
        given = str(self.headers) if repeats else json.dumps({"metadata": {"name": name}})
        body = self.server.body or given  # type: ignore[attr-defined]
        self.send_response(400 if repeats else 200)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers; each call gives the address of one, with TLS for the names given or without."""
    servers = []

    def begin(*names: str, body: str = "", issuer: trustme.CA = AUTHORITY) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.body = body  # type: ignore[attr-defined]
        server.daemon_threads = True
        if names:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            issuer.issue_cert(*names).configure_cert(context)
            context.verify_mode = ssl.CERT_OPTIONAL
            AUTHORITY.configure_trust(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # refused handshakes
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def access(server: str, *, tls: Tls | None = None, credentials: Credentials | None = None) -> Access:
    return Access("it", "it", "default", server, tls or Tls(ca=CA), credentials or Credentials())


def pod_name(found: Access) -> str:
    api = ClusterApi(Dialer(found))
    try:
        return api.get_pod("ns", "web-0", timeout=10).name
    finally:
        api.close()


def test_a_trusted_certificate_and_a_token_are_enough(start: Start) -> None:
    name = pod_name(access(f"https://{start('127.0.0.1')}", credentials=Credentials(token=Secret("t0ken"))))
    assert name == "Bearer t0ken|/api/v1/namespaces/ns/pods/web-0|"


@pytest.mark.parametrize(
    "credentials", [Credentials(token=Secret("t0ken")), Credentials(username="u", password=Secret("t0ken"))]
)
def test_a_server_that_repeats_what_was_sent_does_not_put_it_into_an_error(
    start: Start, credentials: Credentials
) -> None:
    api = ClusterApi(Dialer(access(f"http://{start()}", credentials=credentials)))
    with pytest.raises(ApiError) as caught:
        api.get_pod("ns", "repeat", timeout=10)
    api.close()
    assert "***" in caught.value.message
    assert "t0ken" not in caught.value.message
    assert base64.b64encode(b"u:t0ken").decode() not in caught.value.message


def test_a_path_prefix_comes_before_every_path(start: Start) -> None:
    assert "|/k8s/c-1/api/v1/namespaces/ns/pods/web-0|" in pod_name(access(f"https://{start('127.0.0.1')}/k8s/c-1"))


def test_a_client_certificate_is_shown_and_its_key_leaves_no_file(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tempfile.tempdir = None  # so that TMPDIR is read again
    leaf = AUTHORITY.issue_cert("admin.example")
    credentials = Credentials(
        client_certificate=leaf.cert_chain_pems[0].bytes().decode(),
        client_key=Secret(leaf.private_key_pem.bytes().decode()),
    )
    try:
        name = pod_name(access(f"https://{start('127.0.0.1')}", credentials=credentials))
    finally:
        tempfile.tempdir = None
    assert "admin.example" in name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("remark", ["", "# Cluster-Stammzertifikat für Köln\n"])
def test_an_authority_is_trusted_though_its_own_issuer_is_not_known(start: Start, remark: str) -> None:
    between = AUTHORITY.create_child_ca()
    ca = remark + between.cert_pem.bytes().decode()
    assert pod_name(access(f"https://{start('127.0.0.1', issuer=between)}", tls=Tls(ca=ca)))


def test_a_server_known_by_another_name_is_accepted_under_that_name_alone(start: Start) -> None:
    server = f"https://{start('kubernetes.default')}"
    assert pod_name(access(server, tls=Tls(ca=CA, server_name="kubernetes.default")))
    for tls in (Tls(ca=CA), Tls(ca=CA, server_name="other")):
        with pytest.raises(ClusterUnreachable, match="certificate"):
            pod_name(access(server, tls=tls))


def test_an_unknown_authority_is_refused_unless_verification_is_off(start: Start) -> None:
    server = f"https://{start('127.0.0.1')}"
    with pytest.raises(ClusterUnreachable, match="certificate is not accepted") as caught:
        pod_name(access(server, tls=Tls(ca=trustme.CA().cert_pem.bytes().decode())))
    assert "certificate-authority" in str(caught.value)
    with pytest.raises(ClusterUnreachable, match="certificate is not accepted"):
        pod_name(access(server, tls=Tls()))
    assert pod_name(access(server, tls=Tls(verify=False)))


def test_the_websockets_socket_follows_the_same_rules(start: Start) -> None:
    server = f"https://{start('kubernetes.default')}"
    with pytest.raises(ClusterUnreachable, match="certificate"):
        Dialer(access(server)).open(deadline=None)
    found = Dialer(access(server, tls=Tls(ca=CA, server_name="kubernetes.default"))).open(deadline=None)
    assert isinstance(found, ssl.SSLSocket)
    found.close()


def test_plain_http_works_and_carries_no_credentials(start: Start) -> None:
    assert pod_name(access(f"http://{start()}")) == "|/api/v1/namespaces/ns/pods/web-0|"


def test_https_where_there_is_http_is_told(start: Start) -> None:
    with pytest.raises(ClusterUnreachable, match="does not speak TLS"):
        pod_name(access(f"https://{start()}"))


def test_http_where_there_is_https_is_told(start: Start) -> None:
    with pytest.raises(ClusterUnreachable, match="closed before an answer"):
        pod_name(access(f"http://{start('127.0.0.1')}"))


def test_a_closed_port_and_an_unknown_name_are_told() -> None:
    with pytest.raises(ClusterUnreachable, match="nothing listens"):
        pod_name(access("https://127.0.0.1:1"))
    with pytest.raises(ClusterUnreachable, match="cannot be resolved"):
        Dialer(access("https://no-such-host.invalid")).open(deadline=None)


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = ClusterApi(Dialer(access(f"http://127.0.0.1:{silent.getsockname()[1]}")))
        with pytest.raises(ClusterUnreachable, match="did not answer in time"):
            api.get_pod("ns", "web-0", timeout=0.2)
        api.close()


def test_an_answer_that_is_no_kubernetes_object_is_told(start: Start) -> None:
    with pytest.raises(ProtocolError, match="no Kubernetes object"):
        pod_name(access(f"http://{start(body='<html>log in</html>')}"))


@pytest.mark.parametrize("ca", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_is_told(ca: str) -> None:
    with pytest.raises(KubeconfigError, match="no certificate"):
        Dialer(access("https://it", tls=Tls(ca=ca)))


def test_a_certificate_with_another_ones_key_is_told_without_showing_either() -> None:
    one, other = AUTHORITY.issue_cert("one"), AUTHORITY.issue_cert("other")
    key = other.private_key_pem.bytes().decode()
    credentials = Credentials(client_certificate=one.cert_chain_pems[0].bytes().decode(), client_key=Secret(key))
    with pytest.raises(KubeconfigError, match="do not load") as caught:
        Dialer(access("https://it", credentials=credentials))
    assert "BEGIN" not in str(caught.value)


def test_a_read_is_observed_with_its_credentials_masked(start: Start) -> None:
    seen: list[Exchange] = []
    found = access(f"https://{start('127.0.0.1')}", credentials=Credentials(token=Secret("t0ken")))
    api = ClusterApi(Dialer(found))
    api.observed(seen.append).get_pod("ns", "web-0")
    api.close()
    (exchange,) = seen
    assert (exchange.method, exchange.status) == ("GET", 200)
    assert exchange.request_headers["Authorization"] == "Bearer <masked>"
    assert "t0ken" not in repr(exchange)
