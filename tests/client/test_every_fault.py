"""Every way in which the sandbox can misbehave, on every way to run: none hangs, none makes a success of a failure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kexec_magic import Cluster, KexecError, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import MARK, SECONDS

FAULTS = {
    "close_without_status": faults.close_without_status(),
    "cut_messages": faults.cut_messages(1),
    "delay_channel": faults.delay_channel(1, 0.1),
    "drop_before_status": faults.drop_before_status(),
    "drop_connection": faults.drop_connection(after=b"one\n"),
    "empty_message": faults.empty_message(3),
    "flood": faults.flood(100_000),
    "oversized_message": faults.oversized_message(1),
    "refuse": faults.refuse(503, "not now"),
    "refuse_subprotocol": faults.refuse_subprotocol("v5.channel.k8s.io"),
    "reset": faults.reset(after=b"one\n"),
    "reset_after_status": faults.reset_after_status(),
    "server_close_message": faults.server_close_message(),
    "split_status": faults.split_status(3),
    "stall": faults.stall(0.2),
    "status": faults.status('{"status":"Failure","message":"boom"}'),
    "status_without_causes": faults.status_without_causes(),
    "stop_reading_stdin": faults.stop_reading_stdin(),
    "succeed_early": faults.succeed_early(after=b"one\n"),
    "unknown_channel": faults.unknown_channel(),
}

WAYS: dict[str, dict[str, Any]] = {
    "script": {"script": MARK},
    "input": {"script": MARK, "stdin": "input"},
    "tty": {"script": MARK, "tty": True},
    "direct": {"argv": ["sh", "-c", MARK], "direct": True},
}


def test_no_fault_is_forgotten() -> None:
    kinds = {"Fault", "Refusal", "Stall"}
    assert set(FAULTS) == set(faults.__all__) - kinds
    # And each has a test that says more than that it does not hang.
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name]
    assert [name for name in FAULTS if not any(f"faults.{name}" in text for text in texts)] == []


# Of a bare exec nothing but the server's word tells when it has ended.
PAIRS = [(name, way) for name in FAULTS for way in WAYS if (name, way) != ("succeed_early", "direct")]


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_a_command_that_exits_with_7_never_exits_with_anything_else(
    sandbox: Sandbox, faulty: Cluster, name: str, way: str
) -> None:
    sandbox.on_exec("*", FAULTS[name])
    started = time.monotonic()
    outcome, exit_code = None, None
    try:
        result = faulty.run("example", timeout=3, ladder=(0.5, 0.5, 0.5), container="main", **WAYS[way])
        outcome, exit_code, hint = result.outcome, result.exit_code, result.hint
    except KexecError as error:
        hint = error.hint
    assert exit_code in (7, None)
    assert outcome is not Outcome.EXITED or exit_code == 7
    assert hint
    assert time.monotonic() - started < SECONDS
