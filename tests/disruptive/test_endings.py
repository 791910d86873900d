"""What takes a run away in the middle of it, on a real cluster: how it ends, what is proved, and what it says."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kexec_magic import Cluster, ExecResult, Outcome
from kexec_magic.execution import connection
from tests.conftest import Place
from tests.disruptive.servers import Servers
from tests.stop.pods import having, spec, wait_until_gone

pytestmark = [pytest.mark.disruptive, pytest.mark.timeout(240)]

# What a result may take after what has ended its run: the kubelet's second, our three, and a busy machine.
SECONDS = 15.0

# Memory in a shell, twice as much with every step, and no program for it.
GROW = "x=0123456789; while :; do x=$x$x; done"
# A main process that ends when it is told to, or runs out of memory.
MAIN = f"trap 'exit 3' TERM; trap '{GROW}' USR1; while :; do sleep 0.1; done"
CLOCK = r"at \d\d:\d\d:\d\d UTC"
KILLED = r"exit code 137: ended by signal 9 \(SIGKILL\)"


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Servers:
    """The servers of the cluster under test."""
    folder, start = (request.config.getoption(name) for name in ("--cluster-state", "--cluster-start"))
    assert folder, "--cluster-state names the folder with the cluster's NAME.pid files"
    assert start, "--cluster-start is the command that starts the cluster's servers again"
    return Servers(Path(folder), start)


@contextmanager
def victim(
    place: Place, cluster: Cluster, *, main: str = "", memory: str = "", volume: dict[str, Any] | None = None
) -> Iterator[Any]:
    """Have a pod that this test may do anything to; give its name and the official client."""
    name = f"victim-{secrets.token_hex(3)}"
    wanted = spec("ash", place)
    (container,) = wanted["containers"]
    if main:
        container["command"] = ["sh", "-c", main]
    if memory:
        container["resources"] = {"limits": {"memory": memory}}
    if volume:
        container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
        wanted["volumes"] = [{"name": "scratch", **volume}]
    with having(place, cluster, name, wanted) as api:
        yield name, api


def hit(
    cluster: Cluster, pod: str, event: Callable[[], object], *, within: float = SECONDS, **options: Any
) -> ExecResult:
    """Have an event happen in the middle of a run; give the run's result, which must not take longer after it."""
    happened: list[float] = []

    def on_output(_channel: str, data: bytes) -> None:
        if b"in" in data:
            event()
            happened.append(time.monotonic())

    result = cluster.run(pod, "echo in; sleep 200", on_output=on_output, **options)
    assert happened
    assert time.monotonic() - happened[0] < within
    return result


def seen(result: ExecResult) -> tuple[Outcome, int | None, bool]:
    return result.outcome, result.exit_code, result.complete


def signalled(cluster: Cluster, pod: str, name: str) -> Callable[[], object]:
    """Give what sends the main process of a pod a signal."""
    return lambda: cluster.run(pod, argv=["kill", f"-{name}", "1"], direct=True).check()


# The pod and its container ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [0, 1])
def test_a_run_whose_pod_is_deleted_ends_with_137_and_says_so(place: Place, cluster: Cluster, grace: int) -> None:
    with victim(place, cluster) as (name, api):
        result = hit(
            cluster, name, lambda: api.delete_namespaced_pod(name, place.namespace, grace_period_seconds=grace)
        )
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert re.fullmatch(f"{KILLED}; pod '{name}' is (gone: it was deleted|being deleted)", str(result.reason)), (
        result.reason
    )
    assert "look before you run it again" in str(result.hint)


# With pod and container given nothing is read before the run: then times are compared.
@pytest.mark.parametrize("container", [None, "main"])
def test_a_run_whose_containers_main_process_ends_says_how(
    place: Place, cluster: Cluster, container: str | None
) -> None:
    with victim(place, cluster, main=MAIN) as (name, _):
        result = hit(cluster, name, signalled(cluster, name, "TERM"), container=container)
    assert seen(result) == (Outcome.EXITED, 137, True)
    words = f"{KILLED}; container 'main' ended with exit code 3 {CLOCK}( and was started again)?"
    assert re.fullmatch(words, str(result.reason)), result.reason
    assert "look before you run it again" in str(result.hint)


def test_a_run_whose_containers_main_process_runs_out_of_memory_says_so(place: Place, cluster: Cluster) -> None:
    with victim(place, cluster, main=MAIN, memory="32Mi") as (name, _):
        result = hit(cluster, name, signalled(cluster, name, "USR1"))
    assert seen(result) == (Outcome.EXITED, 137, True)
    words = rf"{KILLED}; container 'main' ran out of memory {CLOCK} \(OOMKilled\)( and was started again)?"
    assert re.fullmatch(words, str(result.reason)), result.reason


def test_a_command_that_runs_out_of_memory_itself_says_so(place: Place, cluster: Cluster) -> None:
    with victim(place, cluster, memory="32Mi") as (name, _):
        result = cluster.run(name, f"echo in; {GROW}", timeout=60)
        assert seen(result) == (Outcome.EXITED, 137, True)
        assert re.fullmatch(
            f"{KILLED}, out of memory: the limit of the container, or of its node, was reached", str(result.reason)
        ), result.reason
        assert (result.stdout, "memory limit" in str(result.hint)) == ("in\n", True)
        # One that only killed itself is not suspected, although memory ran out before.
        result = cluster.run(name, "kill -9 $$", timeout=60)
        assert (seen(result), result.reason) == ((Outcome.EXITED, 137, True), KILLED.replace("\\", ""))
        # Nor is it hidden where only a part of the command ran out.
        result = cluster.run(name, f"sh -c '{GROW}'; exit 3", timeout=60)
        assert seen(result) == (Outcome.EXITED, 3, True)
        assert "meanwhile memory ran out in the container" in str(result.reason)


def test_a_run_whose_pod_is_evicted_says_why(place: Place, cluster: Cluster) -> None:
    with victim(place, cluster, volume={"emptyDir": {"sizeLimit": "1Mi"}}) as (name, _):
        # The kubelet measures such volumes once a minute, and looks at what it measured every ten seconds.
        result = cluster.run(name, "dd if=/dev/zero of=/scratch/x bs=1M count=4; sleep 200", timeout=150)
    assert seen(result) == (Outcome.EXITED, 137, True)
    assert f"pod '{name}' was evicted: Usage of EmptyDir volume" in str(result.reason)


# The servers --------------------------------------------------------------------------------------------------------

# The loss shows in the pod too, and there it ends the run: nothing of it may be left after this many seconds.
LEFT_SECONDS = 30.0


def test_a_run_whose_kubelet_is_killed_is_lost(place: Place, cluster: Cluster, servers: Servers) -> None:
    with victim(place, cluster) as (name, _):
        with servers.killing("kubelet") as kill:
            result = hit(cluster, name, kill)
        assert seen(result) == (Outcome.LOST, None, False)
        # Its node is ready by the API server's word, for a while or, without controllers, for ever.
        assert str(result.reason).startswith("the connection was lost before the end")
        assert str(result.reason).endswith(f"; pod '{name}' still runs")
        assert "look before you run it again" in str(result.hint)
        wait_until_gone(cluster, name, seconds=LEFT_SECONDS)


def test_a_run_whose_api_server_is_killed_is_lost_and_says_that_it_cannot_be_reached(
    place: Place, cluster: Cluster, servers: Servers
) -> None:
    with victim(place, cluster) as (name, _):
        with servers.killing("kube-apiserver") as kill:
            result = hit(cluster, name, kill)
        assert seen(result) == (Outcome.LOST, None, False)
        assert str(result.reason).startswith("the connection was lost before the end")
        assert "cannot reach the API server" in str(result.reason)
        assert "look before you run it again" in str(result.hint)
        wait_until_gone(cluster, name, seconds=LEFT_SECONDS)


def test_a_run_whose_api_server_answers_no_more_is_lost_once_it_was_silent_for_too_long(
    place: Place, cluster: Cluster, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute of silence is for users; the cluster may have others, who miss their server.
    monkeypatch.setattr(connection, "PING_SECONDS", 0.2)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 2.0)
    with victim(place, cluster) as (name, _):
        with servers.freezing("kube-apiserver") as freeze:
            result = hit(cluster, name, freeze)
        assert seen(result) == (Outcome.LOST, None, False)
        assert "nothing was heard of the server for 2 s" in str(result.reason)
        assert "cannot reach the API server" in str(result.reason)
        assert "look before you run it again" in str(result.hint)
        wait_until_gone(cluster, name, seconds=LEFT_SECONDS)


def test_a_run_whose_api_server_answers_no_more_ends_at_its_deadline(
    place: Place, cluster: Cluster, servers: Servers
) -> None:
    with victim(place, cluster) as (name, _):
        with servers.freezing("kube-apiserver") as freeze:
            result = hit(cluster, name, freeze, timeout=4, ladder=(0.5, 0.5, 0.5))
        assert seen(result) == (Outcome.TIMED_OUT, None, False)
        assert result.reason == "no end within 4.0 s; its end could not be confirmed"
        assert "look before you run it again" in str(result.hint)
        wait_until_gone(cluster, name, seconds=LEFT_SECONDS)
