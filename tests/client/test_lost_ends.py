"""What the client makes of a connection that ends as it should not: never a hang, never an invented exit code."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kexec_magic import Cluster, ConnectionLost, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import MARK, SECONDS, seen


@pytest.mark.parametrize("fault", [faults.drop_connection, faults.reset])
def test_losing_the_connection_before_the_status_leaves_the_exit_code_unknown(
    sandbox: Sandbox, faulty: Cluster, fault: type
) -> None:
    sandbox.on_exec("*", fault(after=b"one\n"))
    result = faulty.run("example", "echo one; sleep 0.2; echo two", timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    with pytest.raises(ConnectionLost, match="connection was lost") as caught:
        result.check()
    assert "is ended in the pod" in str(caught.value)
    # A reset may overtake the bytes before it; an ordinary end may not.
    assert result.stdout == "one\n" or (fault is faults.reset and result.stdout == "")


NO_STATUS = [faults.drop_before_status, faults.close_without_status]


@pytest.mark.parametrize("fault", NO_STATUS)
def test_without_a_supervisor_all_output_and_then_no_status_is_not_a_success(
    sandbox: Sandbox, faulty: Cluster, fault: Callable[[], faults.Fault]
) -> None:
    sandbox.on_exec("*", fault())
    result = faulty.run("example", argv=["echo", "all"], direct=True, timeout=SECONDS)
    assert (seen(result), result.stdout) == ((Outcome.LOST, None, False), "all\n")


@pytest.mark.parametrize("fault", NO_STATUS)
def test_the_supervisors_marks_prove_the_end_where_no_status_comes(
    sandbox: Sandbox, faulty: Cluster, fault: Callable[[], faults.Fault]
) -> None:
    sandbox.on_exec("*", fault())
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert (seen(result), result.stdout, result.stderr) == ((Outcome.EXITED, 7, True), "one\n", "two\n")


def test_a_status_and_a_supervisor_that_contradict_each_other_prove_nothing(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status('{"status":"Success"}'))
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    assert result.reason == "the server told exit code 0, and the supervisor in the pod 7"


def test_a_reset_after_the_status_is_tolerated(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.reset_after_status())
    for _ in range(10):
        result = faulty.run("example", "exit 7", timeout=SECONDS)
        # The reset may destroy the Status on its way: then nothing was proved, and nothing is invented.
        assert seen(result) in [(Outcome.EXITED, 7, True), (Outcome.LOST, None, False)]


def test_a_silent_server_is_left_at_the_deadline(sandbox: Sandbox, faulty: Cluster) -> None:
    stalled = faults.stall()
    sandbox.on_exec("*", stalled)
    started = time.monotonic()
    result = faulty.run("example", "true", timeout=0.5)
    stalled.release()
    assert result.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - started < SECONDS
