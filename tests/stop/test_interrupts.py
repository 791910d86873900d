"""Interrupts at any moment of a run, in a real kernel: result and kernel are still there, and the output is true."""

from __future__ import annotations

import random
import time
from ast import literal_eval
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.conftest import Place
from tests.notebook.kernels import Kernel, kernel

pytestmark = [pytest.mark.stop, pytest.mark.timeout(300)]

INTERRUPTS = 200
SCRIPT = "for part in 1 2 3 4 5; do seq 3000; sleep 0.02; done"
WHOLE = "".join(f"{number}\n" for number in range(1, 3001)) * 5

# The interrupt comes from inside, since ipykernel drops the reply of a cell that is interrupted while it replies: one
# that comes when the run is over hits the waiting for the timer.
INTERRUPTED = f"""
import os, signal, threading
SCRIPT, WHOLE = {SCRIPT!r}, {WHOLE!r}

def interrupted(moment):
    globals()["_kexec"] = None
    timer = threading.Timer(moment, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        get_ipython().run_cell_magic("kexec", "example", SCRIPT)
        timer.join()
    except KeyboardInterrupt as error:
        return type(error).__name__
"""

# What the kernel has of a run: how much of its output, whether that is a beginning of the whole, and how it ended.
STORED = "len(_kexec.stdout), WHOLE.startswith(_kexec.stdout), _kexec.outcome.value, _kexec.exit_code, _kexec.complete"


@pytest.fixture
def notebook(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel(place.kubeconfig, tmp_path_factory.mktemp("interrupts")) as found:
        assert found.run(INTERRUPTED).status == "ok"
        yield found


def uninterrupted(notebook: Kernel) -> float:
    """Run the cell to its end, and give the seconds that it took."""
    started = time.monotonic()
    assert notebook.run(f"%%kexec example\n{SCRIPT}").stream("stdout") == WHOLE
    return time.monotonic() - started


def test_two_hundred_interrupts_cost_neither_a_result_nor_the_kernel(notebook: Kernel) -> None:
    length_of_a_run = min(uninterrupted(notebook) for _ in range(5))
    moments = random.Random(3)
    outcomes: Counter[str] = Counter()
    for _ in range(INTERRUPTS):
        moment = moments.uniform(0, length_of_a_run)
        executed = notebook.run(f"raised = interrupted({moment})")
        raised = literal_eval(notebook.value("raised"))
        if notebook.value("_kexec is None") == "True":
            # It came before the run: then nothing was sent, and nothing shown.
            assert (raised, executed.stream("stdout")) == ("KeyboardInterrupt", ""), moment
            outcome = "never begun"
        else:
            length, is_beginning, outcome, code, complete = literal_eval(notebook.value(STORED))
            assert is_beginning, moment
            if outcome == "exited":
                assert (length, code, complete) == (len(WHOLE), 0, True), moment
            else:
                assert (outcome, raised) == ("interrupted", "CommandInterrupted"), moment
        outcomes[outcome] += 1
    # Otherwise the moments missed the runs.
    assert outcomes["interrupted"] > INTERRUPTS // 2, outcomes
    assert notebook.run("%%kexec example\necho usable").stream("stdout") == "usable\n"
