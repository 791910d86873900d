"""A channel that lags behind the others, as a client without any library sees it."""

from __future__ import annotations

import pytest

from kexec_magic.sandbox import Sandbox, faults
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access

_BOTH = ["sh", "-c", "echo out; echo err >&2; exit 3"]
_CLOSE = (plain.CLOSE, b"\x03\xe8")
_OUT, _ERR = (2, b"\x01out\n"), (2, b"\x02err\n")
_LONG = 0.5  # seconds; more than the other channel needs, also on a busy machine


@pytest.mark.parametrize(("channel", "expected"), [(1, [_ERR, _OUT]), (2, [_OUT, _ERR])])
def test_a_delayed_channel_comes_after_the_other_and_before_the_status(
    sandbox: Sandbox, access: Access, channel: int, expected: list[tuple[int, bytes]]
) -> None:
    sandbox.on_exec("*", faults.delay_channel(channel, _LONG))
    _, *output, status, close = plain.run(access, "example", *_BOTH).frames
    assert (output, status[1][:1], close) == (expected, b"\x03", _CLOSE)


def test_what_is_delayed_keeps_its_order_and_is_whole(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.cut_messages(3), faults.delay_channel(1, 0.02))
    done = plain.run(access, "example", "seq", "5000")
    assert (done.stdout.split(), done.exit_code) == ([b"%d" % number for number in range(1, 5001)], 0)


def test_a_status_that_does_not_wait_overtakes_the_output_and_nothing_is_lost(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.delay_channel(1, _LONG, status_waits=False))
    _, error, status, *late = plain.run(access, "example", *_BOTH).frames
    assert (error, status[1][:1], late) == (_ERR, b"\x03", [_OUT, _CLOSE])


def test_of_a_delayed_error_channel_only_the_status_is_late(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.delay_channel(3, _LONG))
    with plain.upgrade(access, plain.exec_path("example", *_BOTH), [V5]) as connection:
        connection.until(1, b"out\n")
        connection.until(2, b"err\n")
        connection.round_trip()
        assert connection.status is None
        assert connection.drain().exit_code == 3
    assert connection.frames[-1] == _CLOSE


def test_faults_that_come_after_a_delay_see_what_it_lets_go(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.delay_channel(1, _LONG), faults.drop_connection(after=b"out\n"))
    done = plain.run(access, "example", *_BOTH)
    assert (done.frames[1:], done.end) == ([_ERR, _OUT], "cut")


def test_a_connection_that_ends_within_a_delay_takes_along_what_waits(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.delay_channel(1, _LONG), faults.reset(after=b"err\n"))
    done = plain.run(access, "example", *_BOTH)
    assert (done.stdout, done.end) == (b"", "reset")
