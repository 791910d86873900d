"""Stops in pods that have little: a read-only root and a user that owns nothing, or a shell without tools."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kexec_magic import Outcome
from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.execution.listener import Listener
from kexec_magic.execution.request import Request
from kexec_magic.wire.channels import Subprotocol
from tests.stop.cells import CELLS
from tests.stop.pods import Kind
from tests.stop.ways import WAYS, Scene

pytestmark = [pytest.mark.stop, pytest.mark.timeout(60)]

_ALL = ("sleeping", "ignores-term", "background", "pipeline", "own-session", "unread-input", "terminal")
# A pod without setsid has nothing to start a session with.
_NAMES: dict[Kind, tuple[str, ...]] = {
    "readonly": _ALL,
    "bare": tuple(name for name in _ALL if name != "own-session"),
}


@pytest.mark.parametrize("way", ["interrupt", "timeout", "reset", "killed", "frozen"])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in _NAMES.items() for name in names])
def test_nothing_is_left_in_a_pod_that_has_little(scene: Callable[..., Scene], kind: Kind, name: str, way: str) -> None:
    found = scene(CELLS[name], kind)
    if (kind, name) == ("bare", "unread-input") and _is_old(found):
        pytest.skip("a server that only speaks v4 needs dd for input: the test below says what comes of it")
    WAYS[way](found)


@pytest.mark.parametrize("name", ["unread-input", "unread-input-v4"])
def test_input_that_has_to_be_counted_needs_dd_and_the_result_says_so(scene: Callable[..., Scene], name: str) -> None:
    found = scene(CELLS[name], "bare")
    if not _is_old(found):
        pytest.skip("this server ends the input itself")
    result = found.looker.run(found.pod, **found.cell.arguments())
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.START_FAILED, None, True)
    assert (result.stdout_bytes, result.stderr_bytes) == (b"", b"")
    assert result.reason is not None
    assert "no dd" in result.reason
    assert result.hint is not None
    assert "nothing ran" in result.hint
    found.is_left()


def test_a_run_without_setsid_leads_no_session_of_its_own(scene: Callable[..., Scene]) -> None:
    # Otherwise the tests above would prove nothing about how the supervisor finds such a run: by its parents.
    found = scene(CELLS["sleeping"], "bare")
    script = "read -r pid rest </proc/self/stat; set -- $pid ${rest##*) }; [ $1 = $5 ] && echo leads || echo follows"
    assert found.looker.run(found.pod, script).stdout == "follows\n"
    assert found.looker.run(found.pod, "command -v setsid head dd stty").stdout == ""


class _Ear(Listener):
    def __init__(self) -> None:
        self.subprotocols: list[str | None] = []

    def on_exchange(self, exchange: Exchange) -> None:
        if exchange.subprotocol is not None:
            self.subprotocols.append(exchange.subprotocol)


def _is_old(scene: Scene) -> bool:
    """Whether the scene's server has no end of input."""
    ear = _Ear()
    scene.looker.execute(Request(target=scene.pod, argv=("true",)), listener=ear).check()
    return ear.subprotocols == [Subprotocol.V4.value]
