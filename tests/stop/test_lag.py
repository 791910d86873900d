"""A channel that comes a second after the other: no tail is lost, whichever it is and however a run ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kexec_magic import Cluster, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.conftest import Place
from tests.stop.cells import CELLS
from tests.stop.ways import WAYS, Scene

pytestmark = [pytest.mark.stop, pytest.mark.timeout(60)]

_LAG = 1.0  # seconds
_LADDER = (2.0, 2.0, 4.0)  # seconds; the marks that end a rung's waiting are late too
_TAIL = 20_000

# A beginning and a long end on either channel; and an end without a newline.
_BOTH = f"echo out; echo err >&2; seq {_TAIL}; seq {_TAIL} >&2; printf last; printf last >&2; "
_LINES = "".join(f"{number}\n" for number in range(1, _TAIL + 1)).encode()
_OUT, _ERR = b"out\n" + _LINES + b"last", b"err\n" + _LINES + b"last"


@pytest.fixture
def server(place: Place) -> Iterator[Sandbox]:
    """The place's sandbox, to be given faults."""
    if place.sandbox is None:
        pytest.skip("only a sandbox can be told to lag")
    yield place.sandbox
    place.sandbox.clear_faults()


@pytest.fixture(params=[1, 2], ids=["stdout", "stderr"])
def lagging(request: pytest.FixtureRequest, server: Sandbox) -> Sandbox:
    """A sandbox on which stdout or stderr of every supervised run comes late; looks at a pod are not delayed."""
    server.on_exec("_newline", faults.delay_channel(request.param, _LAG))
    return server


@pytest.mark.parametrize("status_waits", [True, False], ids=["status-last", "status-first"])
@pytest.mark.parametrize("channel", [1, 2], ids=["stdout", "stderr"])
@pytest.mark.parametrize("options", [{}, {"stdin": b"input"}, {"argv": True}], ids=["script", "input", "argv"])
@pytest.mark.parametrize("code", [0, 3])
def test_an_end_brings_the_tails_of_both_channels(
    server: Sandbox, cluster: Cluster, channel: int, options: dict[str, Any], code: int, status_waits: bool
) -> None:
    server.on_exec("*", faults.delay_channel(channel, _LAG, status_waits=status_waits))
    script = _BOTH + f"exit {code}"
    if "argv" in options:
        result = cluster.run("example", argv=["sh", "-c", script])
    else:
        result = cluster.run("example", script, **options)
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.EXITED, code, True), result.reason
    assert (result.stdout_bytes, result.stderr_bytes) == (_OUT, _ERR)


@pytest.mark.usefixtures("lagging")
def test_a_process_that_holds_the_streams_does_not_cost_a_tail(cluster: Cluster) -> None:
    result = cluster.run("example", _BOTH + "sleep 30 & exit 3")
    assert (result.outcome, result.exit_code, len(result.still_running)) == (Outcome.EXITED, 3, 1), result.reason
    assert (result.stdout_bytes, result.stderr_bytes) == (_OUT, _ERR)
    cluster.run("example", argv=["kill", "-9", str(result.still_running[0])]).check()


@pytest.mark.usefixtures("lagging")
@pytest.mark.parametrize("how", ["interrupt", "timeout"])
def test_what_a_stopped_run_still_says_is_kept(cluster: Cluster, how: str) -> None:
    def interrupt(_channel: str, _data: bytes) -> None:
        if how == "interrupt" and not seen:
            seen.append(True)
            signal.raise_signal(signal.SIGINT)

    seen: list[bool] = []
    script = f"trap '{_BOTH} exit 7' INT; echo go; echo go >&2; while :; do sleep 0.1; done"
    options: dict[str, Any] = {"timeout": 3} if how == "timeout" else {}
    result = cluster.run("example", script, ladder=_LADDER, on_output=interrupt, **options)
    outcome = Outcome.TIMED_OUT if how == "timeout" else Outcome.INTERRUPTED
    assert (result.outcome, result.exit_code, result.complete) == (outcome, 7, True), result.reason
    assert (result.stdout_bytes, result.stderr_bytes) == (b"go\n" + _OUT, b"go\n" + _ERR)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("channel", [1, 2], ids=["stdout", "stderr"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CELLS)
def test_however_a_run_is_stopped_the_output_is_kept(
    scene: Callable[..., Scene], name: str, way: str, channel: int
) -> None:
    # Of the last rung's seconds the marks take one, and what is found after them another.
    # The server holds the end of an exec back too, and with it that of what reads its input.
    found = replace(scene(CELLS[name]), ladder=(0.5, 0.5, 6), timeout=2 + 2 * _LAG, gone=5 + 5 * _LAG)
    assert found.place.sandbox is not None
    found.place.sandbox.on_exec("_newline", faults.delay_channel(channel, _LAG))
    try:
        WAYS[way](found)
    finally:
        found.place.sandbox.clear_faults()
