"""What a stop cannot end, as the README says it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from kexec_magic import CommandFailed, Outcome
from tests.stop.cells import CELLS
from tests.stop.pods import look
from tests.stop.ways import Scene

pytestmark = [pytest.mark.stop, pytest.mark.timeout(60)]


def test_a_child_without_the_mark_and_in_a_session_of_its_own_outlives_a_stop_unseen(
    scene: Callable[..., Scene],
) -> None:
    def interrupt(_channel: str, data: bytes) -> None:
        seen.append(data)
        if len(seen) == 1:
            signal.raise_signal(signal.SIGINT)

    seen: list[bytes] = []
    found = scene(CELLS["sleeping"])
    # What comes between says that it has left: until then it still has mark and session.
    script = "env -i setsid sh -c 'echo $$; exec sleep 301' & sleep 300"
    result = found.looker.run(found.pod, script, ladder=(0.5, 0.5, 2), on_output=interrupt)
    (escaped,) = result.lines()
    try:
        assert (result.outcome, result.exit_code, result.still_running) == (Outcome.INTERRUPTED, 130, ())
        # The supervisor itself may still be about to end.
        until = time.monotonic() + 5
        while len(left := look(found.looker, found.pod)) > 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert [(str(one.pid), one.argv) for one in left] == [(escaped, "sleep 301")]
    finally:
        with suppress(CommandFailed):
            found.looker.run(found.pod, argv=["kill", "-9", escaped]).check()
    found.is_left()
