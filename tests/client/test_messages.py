"""Messages of any size, cut in any way, or without meaning: never a lost byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kexec_magic import Cluster, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import MARK, SECONDS, seen


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_characters_cut_over_messages_are_read_whole(sandbox: Sandbox, faulty: Cluster, size: int) -> None:
    sandbox.on_exec("*", faults.cut_messages(size))
    text = "aä€𝄞" * 50
    result = faulty.run("example", argv=["printf", "%s", text], timeout=SECONDS)
    assert result.stdout == text


def test_characters_whose_bytes_come_in_turns_with_the_other_channels_are_read_whole(faulty: Cluster) -> None:
    # The pauses make each byte a message of its own.
    turns = [
        f"printf '\\{byte:03o}'{to}; sleep 0.05"
        for pair in zip("ä€".encode(), "€ä".encode(), strict=True)
        for byte, to in zip(pair, ("", " >&2"), strict=True)
    ]
    result = faulty.run("example", "\n".join(turns), timeout=SECONDS)
    assert (result.stdout, result.stderr, result.complete) == ("ä€", "€ä", True)


@pytest.mark.parametrize(
    "lag",
    [
        *(faults.delay_channel(channel, 0.3, status_waits=waits) for channel in (1, 2) for waits in (True, False)),
        faults.delay_channel(3, 0.3),
    ],
    ids=["stdout", "stdout-after-status", "stderr", "stderr-after-status", "status"],
)
def test_a_channel_that_lags_is_waited_for(sandbox: Sandbox, faulty: Cluster, lag: faults.Fault) -> None:
    sandbox.on_exec("*", lag)
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert (seen(result), result.stdout, result.stderr) == ((Outcome.EXITED, 7, True), "one\n", "two\n")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(out=st.binary(min_size=1, max_size=300), err=st.binary(min_size=1, max_size=300), size=st.integers(1, 60))
def test_any_bytes_cut_in_any_way_arrive_on_their_channel(
    sandbox: Sandbox, faulty: Cluster, out: bytes, err: bytes, size: int
) -> None:
    sandbox.clear_faults()
    sandbox.on_exec("*", faults.cut_messages(size))
    octal = ["".join(f"\\{byte:03o}" for byte in data) for data in (out, err)]
    result = faulty.run("example", f"printf '{octal[0]}'; printf '{octal[1]}' >&2", timeout=SECONDS)
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code) == (out, err, 0)


@pytest.mark.parametrize(
    "fault",
    [
        faults.empty_message(),
        faults.empty_message(1),
        faults.empty_message(2),
        faults.empty_message(3),
        faults.unknown_channel(),
        faults.server_close_message(),
    ],
)
def test_messages_without_meaning_change_nothing(sandbox: Sandbox, faulty: Cluster, fault: faults.Fault) -> None:
    sandbox.on_exec("*", fault)
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert (seen(result), result.stdout, result.stderr) == ((Outcome.EXITED, 7, True), "one\n", "two\n")


def test_a_message_of_ten_mebibytes_is_taken(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.oversized_message(10))
    result = faulty.run("example", "true", timeout=SECONDS)
    assert (len(result.stdout_bytes), result.exit_code) == (10 * 1024 * 1024, 0)


def test_a_message_larger_than_any_exec_message_is_refused_loudly(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.oversized_message(17))
    result = faulty.run("example", "true", timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    assert "larger than any exec message" in str(result.reason)


def test_a_flood_arrives_whole(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.flood(50_000_000))
    result = faulty.run("example", "echo end", timeout=100)
    assert len(result.stdout_bytes) == 50_000_004
    assert result.stdout_bytes.endswith(b"end\n")


def test_a_server_that_takes_no_input_does_not_keep_output_back(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.stop_reading_stdin())
    result = faulty.run("example", argv=["seq", "200000"], stdin=b"x" * 5_000_000, direct=True, timeout=SECONDS)
    # Input that was sent and not read makes the server's close a reset, which may destroy the tail: then it is said so.
    assert seen(result) in [(Outcome.EXITED, 0, True), (Outcome.LOST, None, False)]
    numbers = "".join(f"{number}\n" for number in range(1, 200_001))
    assert numbers.startswith(result.stdout)
    assert len(result.stdout) > 100_000
    assert result.stdout == numbers or result.outcome is Outcome.LOST
