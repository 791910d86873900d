"""A Status proves what it says and no more, in however many pieces it comes."""

from __future__ import annotations

import json

import pytest

from kexec_magic import Cluster, ConnectionLost, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import MARK, SECONDS, seen


def test_a_failure_without_causes_has_no_exit_code_and_is_no_success(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status_without_causes())
    assert seen(faulty.run("example", MARK, timeout=SECONDS)) == (Outcome.EXITED, 7, True)
    result = faulty.run("example", argv=["sh", "-c", MARK], direct=True, timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, True)
    assert (result.stdout, result.stderr) == ("one\n", "two\n")
    with pytest.raises(ConnectionLost, match="no exit code"):
        result.check()


@pytest.mark.parametrize("pieces", [2, 5, 1000])
def test_a_status_in_pieces_is_read_whole(sandbox: Sandbox, faulty: Cluster, pieces: int) -> None:
    sandbox.on_exec("*", faults.split_status(pieces))
    assert seen(faulty.run("example", MARK, timeout=SECONDS)) == (Outcome.EXITED, 7, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"status":"Success"}', (Outcome.EXITED, 0, True)),
        ('{"metadata":{},"status":"Success","message":"x"}', (Outcome.EXITED, 0, True)),
        ("not json at all", (Outcome.LOST, None, True)),
        ("{}", (Outcome.LOST, None, True)),
        (json.dumps({"status": "Failure", "reason": "InternalError", "message": "boom"}), (Outcome.LOST, None, True)),
        (
            json.dumps({"status": "Failure", "reason": "InternalError", "message": "failed to start exec: x"}),
            (Outcome.START_FAILED, None, True),
        ),
        (
            json.dumps(
                {
                    "status": "Failure",
                    "reason": "NonZeroExitCode",
                    "details": {"causes": [{"message": "no reason"}, {"reason": "ExitCode", "message": "42"}]},
                }
            ),
            (Outcome.EXITED, 42, True),
        ),
    ],
)
def test_a_status_proves_what_it_says_and_no_more(
    sandbox: Sandbox, faulty: Cluster, text: str, expected: tuple[Outcome, int | None, bool]
) -> None:
    sandbox.on_exec("*", faults.status(text))
    assert seen(faulty.run("example", argv=["true"], direct=True, timeout=SECONDS)) == expected


def test_after_output_the_words_of_a_failed_start_mean_a_loss(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status(json.dumps({"status": "Failure", "message": "failed to start exec"})))
    assert faulty.run("example", argv=["echo", "ran"], direct=True, timeout=SECONDS).outcome is Outcome.LOST


@pytest.mark.parametrize(
    "causes",
    [
        None,
        [],
        [{"message": "7"}],
        [{"reason": "Other", "message": "7"}],
        *([{"reason": "ExitCode", "message": text}] for text in ("", "seven", "-1", "256", "0")),
    ],
)
def test_a_failure_whose_causes_hold_no_exit_code_proves_none(
    sandbox: Sandbox, faulty: Cluster, causes: list[dict[str, str]] | None
) -> None:
    details = {} if causes is None else {"details": {"causes": causes}}
    text = json.dumps({"status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 7", **details})
    sandbox.on_exec("*", faults.status(text))
    result = faulty.run("example", argv=["true"], direct=True, timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, True)
    assert "told no exit code" in str(result.reason)


def test_a_success_that_is_told_before_the_command_has_ended_proves_nothing(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.succeed_early(after=b"one\n"))
    result = faulty.run("example", "echo one; sleep 0.2; echo two; exit 7", timeout=SECONDS)
    assert (seen(result), result.stdout) == ((Outcome.LOST, None, False), "one\n")
    assert "before the command had ended" in str(result.reason)
