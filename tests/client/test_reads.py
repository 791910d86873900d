"""REST reads on servers that are busy, or whose lists are long."""

from __future__ import annotations

import time

import pytest

from kexec_magic import ApiError, Cluster
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import SECONDS


@pytest.mark.parametrize("code", [429, 503])
def test_a_read_waits_as_long_as_a_busy_server_asks(sandbox: Sandbox, faulty: Cluster, code: int) -> None:
    sandbox.on_request("GET", "/pods/example", faults.refuse(code, headers={"Retry-After": "1"}), times=1)
    started = time.monotonic()
    assert faulty.run("example", "echo through", timeout=SECONDS).stdout == "through\n"
    assert time.monotonic() - started >= 1


def test_a_server_that_asks_for_more_patience_than_there_is_is_told(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_request("GET", "/pods/example", faults.refuse(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ApiError, match="HTTP 429"):
        faulty.run("example", "true", timeout=SECONDS)


def test_a_list_is_read_page_after_page(sandbox: Sandbox, faulty: Cluster) -> None:
    since = len(sandbox.requests)
    names = [pod.name for pod in faulty._link.api.list_pods("default", page=3)]
    assert {"example", "multi", "web-4", "tools"} <= set(names)
    assert len(names) == len(set(names))
    assert len([found for found in sandbox.requests[since:] if "continue=" in found.path]) >= 2


def test_a_page_token_that_expired_begins_the_list_anew(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_request("GET", "continue=", faults.refuse(410, '{"status":"Failure","reason":"Expired"}'))
    names = [pod.name for pod in faulty._link.api.list_pods("default", page=3)]
    assert {"example", "web-4"} <= set(names)


def test_a_second_namespace_is_reached_by_its_name(sandbox: Sandbox, faulty: Cluster) -> None:
    pods = faulty.pods("shop")
    assert pods
    assert faulty.run(pods[0].name, "echo in shop", namespace="shop").stdout == "in shop\n"
