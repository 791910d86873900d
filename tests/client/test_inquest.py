"""Why a run was killed or lost: what the result says after something has befallen its pod, its node or the server."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kexec_magic import ApiError, Cluster, ClusterUnreachable, ConnectionLost, ExecResult, KexecError, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.sandbox import plain
from tests.sandbox.plain import Access

SECONDS = 30  # a bound for what must not hang; none of these takes that long
PODS = "/api/v1/namespaces/default/pods"
CLOCK = r"at \d\d:\d\d:\d\d UTC"
KILLED = "exit code 137: ended by signal 9 (SIGKILL)"


@pytest.fixture(scope="module")
def place() -> Iterator[Sandbox]:
    """A sandbox of its own: what befalls its pods stays."""
    with Sandbox() as found:
        yield found


@pytest.fixture
def sandbox(place: Sandbox) -> Iterator[Sandbox]:
    place.clear_faults()
    place.forget_requests()
    yield place
    place.clear_faults()
    place.recover_node()


@pytest.fixture
def cluster(sandbox: Sandbox) -> Iterator[Cluster]:
    with Cluster(kubeconfig=sandbox.kubeconfig) as found:
        yield found


@pytest.fixture
def access(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Access:
    return Access.read(sandbox.kubeconfig, tmp_path_factory.mktemp("access"))


def seen(result: ExecResult) -> tuple[Outcome, int | None, bool]:
    return result.outcome, result.exit_code, result.complete


def hit(cluster: Cluster, pod: str, event: Callable[[], object], **options: Any) -> ExecResult:
    """Have an event happen in the middle of a run; give the run's result."""

    def on_output(_channel: str, data: bytes) -> None:
        if b"in" in data:
            event()

    return cluster.run(pod, "echo in; sleep 60", timeout=SECONDS, on_output=on_output, **options)


def change(access: Access, method: str, path: str, manifest: dict[str, Any] | None = None) -> None:
    body = json.dumps(manifest).encode() if manifest else b""
    with plain.request(access, path, method=method, body=body) as connection:
        assert connection.response.status in (200, 201), connection.response.body


@pytest.fixture
def victim(access: Access) -> dict[str, Any]:
    """A pod that may be deleted."""
    manifest = {"metadata": {"name": f"victim-{time.monotonic_ns()}"}, "spec": {"containers": [{"name": "main"}]}}
    change(access, "POST", PODS, manifest)
    return manifest


# The pod and its container ------------------------------------------------------------------------------------------


def test_a_run_whose_pod_was_deleted_says_so(cluster: Cluster, access: Access, victim: dict[str, Any]) -> None:
    name = victim["metadata"]["name"]
    result = hit(cluster, name, lambda: change(access, "DELETE", f"{PODS}/{name}"))
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert result.reason == f"{KILLED}; pod {name!r} is gone: it was deleted"
    assert "look before you run it again" in str(result.hint)


def test_a_pod_that_was_made_anew_is_not_taken_for_the_old_one(
    cluster: Cluster, access: Access, victim: dict[str, Any]
) -> None:
    name = victim["metadata"]["name"]

    def make_anew() -> None:
        change(access, "DELETE", f"{PODS}/{name}")
        change(access, "POST", PODS, victim)

    result = hit(cluster, name, make_anew)
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert re.fullmatch(
        f"{re.escape(KILLED)}; pod {name!r} was deleted, and another one made by its name {CLOCK}", str(result.reason)
    )


# With pod and container given nothing is read before the run: then times are compared.
@pytest.mark.parametrize("container", [None, "main"])
@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (3, "Error", f"ended with exit code 3 {CLOCK}"),
        (137, "OOMKilled", rf"ran out of memory {CLOCK} \(OOMKilled\)"),
    ],
)
def test_a_run_whose_container_ended_says_how_and_when(
    sandbox: Sandbox, cluster: Cluster, container: str | None, code: int, reason: str, words: str
) -> None:
    result = hit(
        cluster,
        "web-1",
        lambda: sandbox.restart_container("web-1", exit_code=code, reason=reason),
        container=container,
    )
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert re.fullmatch(f"{re.escape(KILLED)}; container 'main' {words} and was started again", str(result.reason)), (
        result.reason
    )
    assert "look before you run it again" in str(result.hint)


def test_a_restart_before_the_run_explains_nothing(sandbox: Sandbox, cluster: Cluster) -> None:
    sandbox.restart_container("web-2", exit_code=137, reason="OOMKilled")
    result = cluster.run("web-2", "kill -9 $$", timeout=SECONDS)
    assert result.reason == f"{KILLED}, perhaps out of memory"


@pytest.mark.parametrize("dropped", [False, True])
def test_a_run_whose_pod_was_evicted_says_why(sandbox: Sandbox, cluster: Cluster, dropped: bool) -> None:
    pod = "web-3" if dropped else "web-4"
    if dropped:
        sandbox.on_exec("*", faults.drop_before_status())
    result = hit(cluster, pod, lambda: sandbox.evict_pod(pod, message="The node was low on resource: memory. "))
    assert seen(result) == ((Outcome.LOST, None, False) if dropped else (Outcome.EXITED, 137, True))
    assert f"pod {pod!r} was evicted: The node was low on resource: memory." in str(result.reason)
    assert "ended with it" in str(result.hint)


# The node and the server --------------------------------------------------------------------------------------------


def test_a_run_whose_node_is_not_ready_says_so(sandbox: Sandbox, cluster: Cluster) -> None:
    result = hit(cluster, "example", sandbox.lose_node)
    assert seen(result) == (Outcome.LOST, None, False)
    assert "node 'localhost' is not ready: Kubelet stopped posting node status." in str(result.reason)
    with pytest.raises(ConnectionLost, match="it may still run there"):
        result.check()


def test_a_node_that_may_not_be_read_is_not_missed(sandbox: Sandbox, cluster: Cluster) -> None:
    sandbox.on_request("GET", "/nodes/", faults.refuse(403, '{"status":"Failure","reason":"Forbidden","code":403}'))
    result = hit(cluster, "example", sandbox.lose_node)
    assert seen(result) == (Outcome.LOST, None, False)
    assert str(result.reason).endswith("; pod 'example' still runs")


def test_a_run_whose_server_is_gone_says_so() -> None:
    other = Sandbox()
    other.start()
    with Cluster(kubeconfig=other.kubeconfig) as cluster:
        result = hit(cluster, "example", other.close)
    assert seen(result) == (Outcome.LOST, None, False)
    assert "cannot reach the API server" in str(result.reason)
    assert "all, part or nothing" in str(result.hint)


def test_a_user_who_may_not_get_pods_is_told_that_the_reason_is_not_known(sandbox: Sandbox) -> None:
    with Cluster("sandbox-execonly", sandbox.kubeconfig) as cluster:
        result = hit(cluster, "example", lambda: sandbox.restart_container("example"))
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert result.reason == f"{KILLED}, perhaps out of memory; why is not known, since this user may not get pods"


def killed_while_nobody_answers(sandbox: Sandbox, cluster: Cluster, **options: Any) -> ExecResult:
    """Have a bare command killed on a server that from then on leaves every read without an answer."""
    silence = faults.stall(unanswered=True)
    result = cluster.run(
        "example",
        argv=["sh", "-c", "echo in; sleep 0.3; kill -9 $$"],
        container="main",
        direct=True,
        on_output=lambda _channel, _data: sandbox.on_request("GET", "/pods/example", silence),
        **options,
    )
    silence.release()
    return result


def test_a_server_that_does_not_answer_the_second_look_is_not_waited_for(sandbox: Sandbox, cluster: Cluster) -> None:
    started = time.monotonic()
    result = killed_while_nobody_answers(sandbox, cluster)
    assert time.monotonic() - started < SECONDS
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert str(result.reason).startswith(f"{KILLED}, perhaps out of memory; cannot reach the API server")
    assert str(result.reason).endswith("it did not answer in time")
    # Of the run, not of what was looked for after it.
    assert result.duration < 2.5


def test_the_deadline_ends_the_second_look_and_not_the_run(sandbox: Sandbox, cluster: Cluster) -> None:
    started = time.monotonic()
    result = killed_while_nobody_answers(sandbox, cluster, timeout=1.5)
    assert time.monotonic() - started < 2.7
    assert (seen(result), result.reason) == ((Outcome.EXITED, 137, True), f"{KILLED}, perhaps out of memory")


def test_an_interrupt_ends_the_second_look_and_keeps_what_is_known(sandbox: Sandbox, cluster: Cluster) -> None:
    started = time.monotonic()
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = killed_while_nobody_answers(sandbox, cluster, timeout=SECONDS)
    assert seen(result) == (Outcome.INTERRUPTED, 137, True)
    assert result.reason == f"interrupted; the run had ended: {KILLED}, perhaps out of memory"
    assert time.monotonic() - started < 2.7


# The command's own end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["memory.events", "memory/memory.oom_control"])
@pytest.mark.parametrize(
    ("kills", "script", "reason"),
    [
        (0, "kill -9 $$", KILLED),
        (2, "kill -9 $$", f"{KILLED}, out of memory: the limit of the container, or of its node, was reached"),
        (
            1,
            "exit 3",
            "exit code 3; meanwhile memory ran out in the container, and the kernel killed a process there",
        ),
        (1, "exit 0", None),
    ],
)
def test_the_containers_own_count_tells_whether_memory_ran_out(
    cluster: Cluster, path: str, kills: int, script: str, reason: str | None
) -> None:
    # The sandbox's containers have no cgroup: its file is made here as the kernel writes it.
    file = f"/sys/fs/cgroup/{path}"
    write = "mkdir -p /sys/fs/cgroup/memory; printf 'low 0\\noom_kill %s\\noom_group_kill 0\\n' "
    cluster.run("tools", f"{write} 5 >{file}", timeout=SECONDS).check()
    result = cluster.run("tools", f"{write} {5 + kills} >{file}; {script}", timeout=SECONDS)
    cluster.run("tools", f"rm {file}", timeout=SECONDS).check()
    assert result.reason == reason
    assert ("memory limit" in str(result.hint)) == (kills > 0 and reason is not None)


def test_a_term_from_nobody_here_is_looked_into_once(sandbox: Sandbox, cluster: Cluster) -> None:
    result = cluster.run("example", "kill -TERM $$", timeout=SECONDS)
    assert (seen(result), result.reason) == (
        (Outcome.EXITED, 143, True),
        "exit code 143: ended by signal 15 (SIGTERM)",
    )
    assert len([found for found in sandbox.requests if found.path == f"{PODS}/example"]) == 2


def test_a_run_that_was_stopped_needs_no_second_look(sandbox: Sandbox, cluster: Cluster) -> None:
    result = cluster.run("example", "sleep 60", container="main", timeout=1)
    assert result.outcome is Outcome.TIMED_OUT
    assert not [found for found in sandbox.requests if found.path == f"{PODS}/example"]


# Safe to run again? -------------------------------------------------------------------------------------------------


def test_a_connection_that_is_lost_before_the_word_to_go_has_run_nothing(sandbox: Sandbox, cluster: Cluster) -> None:
    sandbox.on_exec("*", faults.drop_connection(), times=1)
    result = cluster.run("example", "cat", stdin="x", timeout=SECONDS)
    assert seen(result) == (Outcome.START_FAILED, None, True)
    assert "before anything ran" in str(result.reason)
    assert result.hint == "nothing ran; it is safe to run it again"


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind", "may_have_run"),
    [
        (faults.refuse(503, "not now"), ApiError, False),
        (faults.refuse(504, "<html>Gateway Timeout</html>"), ApiError, True),
        (faults.refuse(101, headers={"Connection": "close"}), KexecError, True),
    ],
)
def test_an_error_before_the_run_says_whether_it_is_safe_to_run_again(
    sandbox: Sandbox, cluster: Cluster, fault: faults.Fault, kind: type[KexecError], may_have_run: bool, direct: bool
) -> None:
    sandbox.on_exec("*", fault)
    with pytest.raises(kind) as caught:
        cluster.run("example", argv=["true"], container="main", direct=direct, timeout=SECONDS)
    # Without a supervisor the server's accepting it is what starts the command.
    words = "look before you run it again" if direct and may_have_run else "nothing ran"
    assert words in str(caught.value.hint)


@pytest.mark.parametrize("direct", [False, True])
def test_a_server_that_cannot_be_reached_has_run_nothing(cluster: Cluster, direct: bool) -> None:
    gone = Sandbox()
    gone.start()
    with Cluster(kubeconfig=gone.kubeconfig) as client:
        gone.close()
        with pytest.raises(ClusterUnreachable, match="nothing ran"):
            client.run("example", argv=["true"], container="main", direct=direct, timeout=SECONDS)
