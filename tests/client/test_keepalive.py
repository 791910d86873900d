"""What keeps a silent connection alive, and what finds a dead one: over a proxy that stops forwarding."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kexec_magic import Cluster, ExecResult, Outcome
from kexec_magic.execution import connection
from tests.conftest import Place
from tests.stop.proxy import Proxy
from tests.stop.ways import proxied

pytestmark = pytest.mark.cluster

KINDS: dict[str, dict[str, Any]] = {
    "script": {"script": "echo on; sleep 3; echo off"},
    "input": {"script": "echo on; sleep 3; cat", "stdin": "off\n"},
    "bare": {"argv": ["sh", "-c", "echo on; sleep 3; echo off"], "direct": True},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that needs seconds for what takes it a minute."""
    monkeypatch.setattr(connection, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connection, "EMPTY_MESSAGE_SECONDS", 0.02)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 1.5)


@each_kind
@pytest.mark.usefixtures("impatient")
def test_a_silent_command_is_not_taken_for_a_dead_server(cluster: Cluster, kind: str) -> None:
    result = cluster.run("example", **KINDS[kind])
    assert (result.outcome, result.exit_code, result.stdout) == (Outcome.EXITED, 0, "on\noff\n"), result.reason


@each_kind
@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_gone_without_a_word_is_found(place: Place, kind: str) -> None:
    result = frozen(place, **KINDS[kind])
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.LOST, None, False)
    assert "nothing was heard of the server for 2 s" in str(result.reason)


@pytest.mark.usefixtures("impatient")
def test_input_that_nobody_reads_does_not_hide_that_the_server_is_gone(place: Place) -> None:
    result = frozen(place, script="echo on; sleep 100", stdin=bytes(10_000_000), orphan_after=2)
    assert (result.outcome, result.exit_code, result.stdout) == (Outcome.LOST, None, "on\n")


@pytest.mark.usefixtures("impatient")
def test_empty_messages_are_no_input(cluster: Cluster) -> None:
    data = "".join(f"line {number}\n" for number in range(50_000))
    result = cluster.run("example", "sleep 0.3; cat; sleep 0.3", stdin=data)
    assert (result.exit_code, result.stdout) == (0, data)


def frozen(place: Place, **arguments: Any) -> ExecResult:
    """Run something through a proxy that forwards nothing more after the first output."""
    on = threading.Event()

    def freeze(proxy: Proxy) -> None:
        on.wait(20)
        proxy.freeze()

    with proxied(place) as (proxy, cluster):
        thread = threading.Thread(target=freeze, args=(proxy,))
        thread.start()
        try:
            return cluster.run("example", on_output=lambda *_: on.set(), **arguments)
        finally:
            thread.join()
            proxy.reset()
