"""A refused upgrade is one sentence and one next step, and never a second run."""

from __future__ import annotations

import socket

import pytest

from kexec_magic import (
    ApiError,
    Cluster,
    ClusterUnreachable,
    CommandNotStarted,
    Forbidden,
    KexecError,
    PodNotFound,
    Unauthorized,
    run,
)
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import SECONDS, offers


def test_a_redirect_is_not_followed_and_its_host_is_named(sandbox: Sandbox, faulty: Cluster) -> None:
    elsewhere = faults.refuse(302, headers={"Location": "https://user:pw@evil.example/login?t=1"})
    sandbox.on_exec("*", elsewhere)
    with pytest.raises(ApiError, match=r"redirect \(302\) to evil\.example") as caught:
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert "pw" not in str(caught.value)
    sandbox.on_request("GET", "/pods/example", elsewhere)
    with pytest.raises(ApiError, match=r"evil\.example"):
        faulty.run("example", "true", timeout=SECONDS)


def test_a_redirect_brings_no_token_to_another_server(sandbox: Sandbox) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        Cluster("sandbox-token", sandbox.kubeconfig) as cluster,
    ):
        location = {"Location": f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"}
        sandbox.on_request("GET", "/pods/example", faults.refuse(302, headers=location))
        for container in (None, "main"):
            with pytest.raises(ApiError, match="not followed"):
                cluster.run("example", "true", container=container, timeout=SECONDS)
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize(
    ("code", "body", "kind", "words"),
    [
        (401, '{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}', Unauthorized, "credentials"),
        (403, '{"status":"Failure","reason":"Forbidden","message":"pods \\"x\\" is forbidden: "}', Forbidden, "create"),
        (404, '{"status":"Failure","reason":"NotFound","message":"pods \\"x\\" not found"}', PodNotFound, "no pod"),
        (500, "it broke", ApiError, "it broke"),
        (502, "<html><body>Bad Gateway</body></html>", ApiError, "HTML page"),
        (503, "", ApiError, "HTTP 503"),
        (200, "<!DOCTYPE html><title>Log in</title>", ApiError, "HTML page"),
        (426, "Upgrade required", ApiError, "Upgrade"),
        (431, "", ApiError, "too long"),
        (429, "slow down", ApiError, "busy"),
    ],
)
def test_a_refused_upgrade_is_one_sentence_and_one_next_step(
    sandbox: Sandbox, faulty: Cluster, code: int, body: str, kind: type[KexecError], words: str
) -> None:
    sandbox.on_exec("*", faults.refuse(code, body))
    with pytest.raises(kind) as caught:
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert words in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_a_refusal_without_a_length_is_still_told(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(500, "gone wrong", content_length=False))
    with pytest.raises(ApiError, match="HTTP 500"):
        faulty.run("example", "true", container="main", timeout=SECONDS)


def test_a_server_that_hangs_up_at_the_upgrade_is_unreachable(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(101, headers={"Connection": "close"}))
    with pytest.raises(KexecError):
        faulty.run("example", "true", container="main", timeout=SECONDS)


def test_an_exec_is_never_tried_again_by_itself(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(503, "not now"))
    since = len(sandbox.requests)
    with pytest.raises(ApiError, match="HTTP 503"):
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert len(offers(sandbox, since)) == 1


def test_rights_that_miss_create_are_told_by_that_word(sandbox: Sandbox) -> None:
    with pytest.raises(Forbidden, match="create pods/exec"):
        run("example", "true", container="main", context="sandbox-getonly", kubeconfig=sandbox.kubeconfig)


def test_a_completed_pod_is_a_start_that_failed(faulty: Cluster) -> None:
    with pytest.raises(CommandNotStarted):
        faulty.run("done", "true", container="main").check()


def test_a_server_that_is_gone_is_unreachable(sandbox: Sandbox) -> None:
    other = Sandbox()
    other.start()
    cluster = Cluster(kubeconfig=other.kubeconfig)
    assert cluster.run("example", "true").ok
    other.close()
    with pytest.raises(ClusterUnreachable, match="nothing listens"):
        cluster.run("example", "true", timeout=SECONDS)
    cluster.close()
