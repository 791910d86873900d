"""Servers that take one subprotocol and refuse the other, or both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kexec_magic import Cluster, KexecError
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import MARK, SECONDS, V4, V5, offers


@pytest.mark.parametrize("code", [403, 400])
@pytest.mark.parametrize(("refused", "accepted"), [(V5, V4), (V4, V5)])
def test_a_server_that_refuses_the_list_gets_each_alone_and_is_remembered(
    sandbox: Sandbox, faulty: Cluster, code: int, refused: str, accepted: str
) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol(refused, code=code))
    since = len(sandbox.requests)
    assert faulty.run("example", MARK, timeout=SECONDS).exit_code == 7
    assert offers(sandbox, since) == [[V5, V4], *([[V4], [V5]] if accepted == V5 else [[V4]])]
    since = len(sandbox.requests)
    assert faulty.run("example", MARK, timeout=SECONDS).exit_code == 7
    assert offers(sandbox, since) == [[accepted]]


def test_what_was_remembered_is_forgotten_when_it_stops_working(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol(V5))
    assert faulty.run("example", "true", timeout=SECONDS).ok
    sandbox.clear_faults()
    sandbox.on_exec("*", faults.refuse_subprotocol(V4))
    assert faulty.run("example", "true", timeout=SECONDS).ok


def test_a_server_that_takes_no_subprotocol_is_given_up_with_a_reason(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol([V4, V5]))
    with pytest.raises(KexecError) as caught:
        faulty.run("example", "true", timeout=SECONDS)
    assert "subprotocol" in str(caught.value)


@pytest.fixture(scope="module")
def old_server() -> Iterator[Sandbox]:
    with Sandbox(old_server=True) as found:
        yield found


def test_an_old_server_speaks_v4_and_takes_input_all_the_same(old_server: Sandbox) -> None:
    with Cluster(kubeconfig=old_server.kubeconfig) as cluster:
        assert cluster.run("example", MARK, timeout=SECONDS).exit_code == 7
        result = cluster.run("example", argv=["wc", "-c"], stdin=b"x" * 300_000, timeout=SECONDS)
        assert result.stdout.split() == ["300000"]
        assert cluster.run("example", "exit 3", stdin=b"unread" * 100_000, timeout=SECONDS).exit_code == 3


def test_input_without_a_supervisor_is_refused_where_it_cannot_be_ended(old_server: Sandbox) -> None:
    with Cluster(kubeconfig=old_server.kubeconfig) as cluster:
        since = len(old_server.requests)
        with pytest.raises(KexecError, match="cannot be ended") as caught:
            cluster.run("example", argv=["cat"], stdin="x", direct=True, timeout=SECONDS)
        assert "--direct" in str(caught.value)
        assert offers(old_server, since) == [[V5]]


@pytest.mark.parametrize("server", ["old_server", "sandbox"])
def test_a_run_with_input_has_a_second_exec_beside_it(server: str, request: pytest.FixtureRequest) -> None:
    place: Sandbox = request.getfixturevalue(server)
    with Cluster(kubeconfig=place.kubeconfig) as cluster:
        since = len(place.requests)
        assert cluster.run("example", argv=["cat"], stdin="x", timeout=SECONDS).stdout == "x"
        assert offers(place, since) == [[V5, V4]] * 2
