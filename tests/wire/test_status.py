"""The v1 Status: what it proves, and what it must not be taken to prove."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.wire.status import Status, parse_error_channel, parse_legacy_error, parse_status


def failure(**fields: Any) -> str:
    return json.dumps({"status": "Failure", **fields})


def non_zero(*causes: Any) -> Status:
    status = parse_status(failure(reason="NonZeroExitCode", details={"causes": list(causes)}))
    assert status is not None
    return status


def test_success_is_exit_code_0_with_metadata_or_without() -> None:
    assert parse_status('{"metadata":{},"status":"Success"}') == Status(success=True, exit_code=0)
    assert parse_status(b'{"status":"Success"}') == Status(success=True, exit_code=0)


def test_the_exit_code_is_found_by_its_cause_wherever_that_stands() -> None:
    noise: dict[str, str] = {"message": "3"}
    other = {"reason": "SomethingElse", "message": "4"}
    assert non_zero(noise, other, {"reason": "ExitCode", "message": "7"}).exit_code == 7


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "0", "256", "999", "7 ", "0x7", "\u0667", "7\n", "1e1", None, 7, [], {}]
)
def test_an_exit_code_that_is_not_1_to_255_in_decimal_is_not_one(text: object) -> None:
    assert non_zero({"reason": "ExitCode", "message": text}).exit_code is None


@pytest.mark.parametrize("details", [None, [], "x", {}, {"causes": None}, {"causes": {}}, {"causes": ["x", None, 3]}])
def test_a_failure_without_causes_proves_no_exit_code(details: object) -> None:
    status = parse_status(failure(reason="NonZeroExitCode", details=details))
    assert status is not None
    assert (status.success, status.exit_code) == (False, None)


def test_an_exit_code_under_another_reason_is_not_the_commands() -> None:
    status = parse_status(
        failure(reason="InternalError", code=500, details={"causes": [{"reason": "ExitCode", "message": "7"}]})
    )
    assert status is not None
    assert (status.exit_code, status.code) == (None, 500)


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "null", "3", '"Success"', "{}", '{"status":"success"}', '{"status":1}', "{", "[" * 100_000]
)
def test_text_that_is_not_a_status_is_none(text: str) -> None:
    assert parse_status(text) is None


@pytest.mark.parametrize(
    "message",
    [
        "Internal error occurred: error executing command in container: failed to exec in container: failed to start "
        'exec "f93c": OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuchcommand": '
        "executable file not found in $PATH: unknown",
        'unable to upgrade connection: container not found ("main")',
        "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused",
    ],
)
def test_a_failed_start_is_told_by_its_words(message: str) -> None:
    status = parse_status(failure(reason="InternalError", message=message))
    assert status is not None
    assert status.never_started


@pytest.mark.parametrize("message", ["", "Internal error occurred: EOF", "stream error: stream ID 5; INTERNAL_ERROR"])
def test_another_internal_error_leaves_open_whether_the_command_ran(message: str) -> None:
    status = parse_status(failure(reason="InternalError", message=message))
    assert status is not None
    assert not status.never_started


def test_a_command_that_prints_the_words_of_a_failed_start_did_start() -> None:
    status = parse_status(failure(reason="NonZeroExitCode", message="executable file not found in $PATH"))
    assert status is not None
    assert not status.never_started


def test_an_empty_error_channel_is_no_status() -> None:
    assert parse_error_channel(b"") is None
    assert parse_legacy_error(b"") is None


def test_legacy_text_is_a_failure_that_says_whether_the_command_ended_by_itself() -> None:
    ran = parse_legacy_error(b"command terminated with non-zero exit code: error executing command [sh], exit code 7")
    broke = parse_legacy_error(b"Internal error occurred: executable file not found in $PATH")
    assert ran is not None
    assert broke is not None
    assert (ran.reason, ran.exit_code, ran.never_started) == ("NonZeroExitCode", None, False)
    assert (broke.reason, broke.exit_code, broke.never_started) == ("", None, True)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "reason", "message", "details", "causes", "code", "metadata"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_any_json_is_a_status_or_none_and_never_an_error(document: Any) -> None:
    status = parse_status(json.dumps(document))
    assert status is None or status.exit_code is None or 0 <= status.exit_code <= 255


@given(st.binary(max_size=300))
def test_any_bytes_on_the_error_channel_are_told(payload: bytes) -> None:
    status = parse_error_channel(payload)
    assert (status is None) == (payload == b"")
