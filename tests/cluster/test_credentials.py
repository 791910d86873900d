"""Tokens that rotate, service accounts, and headers that say who we are."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kexec_magic.cluster.credentials import Authorizer, Credentials, Secret
from kexec_magic.cluster.service_account import in_cluster_access
from kexec_magic.errors import KubeconfigError


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_kind_of_credentials_has_its_header() -> None:
    assert Authorizer(Credentials()).headers() == {}
    assert Authorizer(Credentials(token=Secret("t"))).headers() == {"Authorization": "Bearer t"}
    basic = Credentials(username="Aladdin", password=Secret("open sesame"))
    assert Authorizer(basic).headers() == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}


def test_a_token_file_is_read_again_after_a_minute_and_trimmed(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", Clock()
    path.write_text("first\n")
    authorizer = Authorizer(Credentials(token_file=path), clock=clock)
    assert authorizer.headers() == {"Authorization": "Bearer first"}
    path.write_text("second\n")
    assert authorizer.headers() == {"Authorization": "Bearer first"}
    clock.now += 61
    assert authorizer.headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize("content", ["", " \n", None])
def test_the_last_good_token_is_kept_when_the_file_fails(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "token", Clock()
    path.write_text("g00d")
    authorizer = Authorizer(Credentials(token_file=path), clock=clock)
    authorizer.headers()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    clock.now += 61
    with caplog.at_level(logging.DEBUG):
        assert authorizer.headers() == {"Authorization": "Bearer g00d"}
    assert str(path) in caplog.text
    assert "g00d" not in caplog.text


def test_a_files_token_wins_over_the_inline_one_which_is_its_fallback(tmp_path: Path) -> None:
    path = tmp_path / "token"
    credentials = Credentials(token=Secret("inline"), token_file=path)
    assert Authorizer(credentials).headers() == {"Authorization": "Bearer inline"}
    path.write_text("file")
    assert Authorizer(credentials).headers() == {"Authorization": "Bearer file"}


def test_a_token_file_that_never_was_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="token file") as caught:
        Authorizer(Credentials(token_file=tmp_path / "nowhere")).headers()
    assert caught.value.path == str(tmp_path / "nowhere")


def test_a_secret_shows_itself_only_to_whoever_asks() -> None:
    secret = Secret("hidden")
    assert secret.reveal() == "hidden"
    assert "hidden" not in f"{secret} {secret!r} {Credentials(token=secret)!r} {[secret]}"


ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "namespace").write_text("shop\n")
    return tmp_path


def test_a_pods_service_account_is_an_access(account: Path) -> None:
    found = in_cluster_access(ENVIRON, folder=account)
    assert found is not None
    assert (found.context, found.namespace, found.server, found.tls.ca) == (
        "in-cluster",
        "shop",
        "https://10.96.0.1:443",
        "CA",
    )
    assert found.credentials == Credentials(token_file=account / "token")


def test_an_ipv6_service_host_is_put_in_brackets(account: Path) -> None:
    found = in_cluster_access({**ENVIRON, "KUBERNETES_SERVICE_HOST": "fd00::1"}, folder=account)
    assert found is not None
    assert found.server == "https://[fd00::1]:443"


def test_the_namespace_comes_from_the_environment_then_the_file_then_default(account: Path) -> None:
    named = in_cluster_access({**ENVIRON, "POD_NAMESPACE": "other"}, folder=account)
    (account / "namespace").unlink()
    unnamed = in_cluster_access(ENVIRON, folder=account)
    assert named is not None
    assert unnamed is not None
    assert (named.namespace, unnamed.namespace) == ("other", "default")


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
def test_outside_a_pod_there_is_none(account: Path, missing: str) -> None:
    assert in_cluster_access({**ENVIRON, missing: ""}, folder=account) is None


def test_a_pod_without_its_certificate_authority_is_an_error(account: Path) -> None:
    (account / "ca.crt").unlink()
    with pytest.raises(KubeconfigError, match=r"ca\.crt"):
        in_cluster_access(ENVIRON, folder=account)
