"""What befalls pods and their node in the middle of an exec, and what the API tells of it afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kexec_magic.sandbox import Sandbox
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access, Connection

PODS = "/api/v1/namespaces/default/pods"
WORKS = ["sh", "-c", "echo in; while :; do sleep 0.1; done"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own: an evicted pod stays so."""
    with Sandbox() as found:
        yield found


@pytest.fixture(scope="module")
def access(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Access:
    return Access.read(sandbox.kubeconfig, tmp_path_factory.mktemp("mishaps"))


@contextmanager
def busy(access: Access, pod: str) -> Iterator[Connection]:
    """Have something run in a pod."""
    with plain.upgrade(access, plain.exec_path(pod, *WORKS), [V5]) as connection:
        connection.until(1, b"in\n")
        yield connection


def status(access: Access, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = plain.get(access, f"{PODS}/{pod}").json()["status"]
    return found


def test_a_container_that_ran_out_of_memory_tells_so_in_its_last_state(sandbox: Sandbox, access: Access) -> None:
    (before,) = status(access, "web-4")["containerStatuses"]
    assert before["lastState"] == {}
    with busy(access, "web-4") as connection:
        sandbox.restart_container("web-4", exit_code=137, reason="OOMKilled")
        assert connection.drain().exit_code == 137
    (after,) = status(access, "web-4")["containerStatuses"]
    ended = after["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    assert ended["startedAt"] == before["state"]["running"]["startedAt"]
    assert ended["containerID"] == before["containerID"]
    assert ended["finishedAt"] <= after["state"]["running"]["startedAt"]
    assert after["restartCount"] == before["restartCount"] + 1
    assert after["containerID"] != before["containerID"]


def test_an_evicted_pod_stays_as_failed_and_says_why(sandbox: Sandbox, access: Access) -> None:
    with busy(access, "web-3") as connection:
        sandbox.evict_pod("web-3", message="The node was low on resource: memory. ")
        assert connection.drain().exit_code == 137
    told = status(access, "web-3")
    assert told.pop("startTime")
    assert told == {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}
    argv = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "get", "pod", "web-3", "--no-headers"]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout.split()[1:3] == ["0/1", "Evicted"]
    assert plain.run(access, "web-3", "true").response.status == 500


def test_a_lost_node_is_not_ready_and_takes_no_exec_until_it_is_back(sandbox: Sandbox, access: Access) -> None:
    def ready() -> dict[str, str]:
        (condition,) = plain.get(access, "/api/v1/nodes/localhost").json()["status"]["conditions"]
        return {key: condition[key] for key in ("status", "reason")}

    assert ready() == {"status": "True", "reason": "KubeletReady"}
    with busy(access, "example") as connection:
        sandbox.lose_node()
        done = connection.drain()
        assert (done.status, done.end) == (None, "cut")
    assert ready() == {"status": "Unknown", "reason": "NodeStatusUnknown"}
    assert status(access, "example")["phase"] == "Running"
    refused = plain.run(access, "example", "true").response
    assert (refused.status, "error dialing backend" in refused.json()["message"]) == (500, True)
    sandbox.recover_node()
    assert plain.run(access, "example", "echo", "back").stdout == b"back\n"


def test_only_what_exists_can_be_hit(sandbox: Sandbox) -> None:
    with pytest.raises(LookupError, match="nope"):
        sandbox.evict_pod("nope", message="x")
