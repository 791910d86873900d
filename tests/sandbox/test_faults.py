"""Each fault does what its name says, as a client without any library sees it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from kexec_magic.sandbox import Sandbox, faults
from tests.sandbox import plain
from tests.sandbox.plain import V4, V5, Access

_COUNT = ["sh", "-c", "echo one; echo two; exit 3 # count"]


def test_the_connection_is_cut_right_after_some_output(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.drop_connection(after=b"one\n"))
    done = plain.run(access, "example", *_COUNT)
    assert (done.stdout, done.status, done.end) == (b"one\n", None, "cut")


def test_what_to_cut_after_may_come_in_pieces(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.cut_messages(1), faults.drop_connection(after=b"ne\ntw"))
    assert plain.run(access, "example", *_COUNT).stdout == b"one\ntw"


def test_the_connection_is_cut_before_any_output(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.drop_connection())
    done = plain.run(access, "example", *_COUNT)
    assert (done.frames, done.end) == ([(2, b"\x01")], "cut")


def test_the_connection_is_reset(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.reset(after=b"one\n"))
    done = plain.run(access, "example", *_COUNT)
    assert (done.stdout, done.end) == (b"one\n", "reset")


def test_the_connection_is_cut_before_the_status_and_all_output_arrives(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("head", faults.drop_before_status())
    done = plain.run(access, "example", "head", "-c", "5000000", "/dev/zero")
    assert (len(done.stdout), done.status, done.end) == (5_000_000, None, "cut")


def test_the_close_frame_comes_without_a_status(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.close_without_status())
    done = plain.run(access, "example", *_COUNT)
    assert (done.stdout, done.status, done.frames[-1]) == (b"one\ntwo\n", None, (plain.CLOSE, b"\x03\xe8"))


def test_the_connection_is_reset_after_the_status(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.reset_after_status())
    done = plain.run(access, "example", *_COUNT)
    assert (done.exit_code, done.end) == (3, "reset")


def test_success_is_told_in_the_middle_and_the_connection_cut(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.succeed_early(after=b"one\n"))
    done = plain.run(access, "example", *_COUNT)
    assert (done.stdout, done.exit_code, done.end) == (b"one\n", 0, "cut")


def test_the_status_has_no_causes(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.status_without_causes())
    done = plain.run(access, "example", *_COUNT)
    assert (done.status["reason"], done.exit_code) == ("NonZeroExitCode", None)


def test_the_status_is_whatever_a_test_wants(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.status('{"status":"Perhaps"}'))
    assert plain.run(access, "example", *_COUNT).status == {"status": "Perhaps"}


@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_the_status_comes_in_pieces(sandbox: Sandbox, access: Access, pieces: int) -> None:
    sandbox.on_exec("count", faults.split_status(pieces))
    done = plain.run(access, "example", *_COUNT)
    assert done.exit_code == 3
    assert pieces // 2 < sum(payload[:1] == b"\x03" for opcode, payload in done.frames if opcode == 2) <= pieces


def test_characters_are_split_over_messages(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("printf", faults.cut_messages(1))
    done = plain.run(access, "example", "printf", "aé€")
    assert [payload for _, payload in done.frames[1:7]] == [b"\x01" + bytes([byte]) for byte in "aé€".encode()]


@pytest.mark.parametrize("code", [403, 400])
def test_a_subprotocol_is_refused_without_a_body(sandbox: Sandbox, access: Access, code: int) -> None:
    sandbox.on_exec("count", faults.refuse_subprotocol(V5, code=code))
    with plain.upgrade(access, plain.exec_path("example", *_COUNT), [V5, V4]) as refused:
        assert (refused.response.status, refused.response.body) == (code, b"")
        assert "content-length" not in refused.response.headers
    assert plain.run(access, "example", *_COUNT, subprotocols=[V4]).exit_code == 3


def test_several_subprotocols_are_refused(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec(None, faults.refuse_subprotocol([V5, V4]))
    for offered in (V5, V4):
        with plain.upgrade(access, plain.exec_path("example", "true"), [offered]) as refused:
            assert refused.response.status == 403


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        (faults.refuse(302, headers={"Location": "https://127.0.0.1:1/"}), "location", "https://127.0.0.1:1/"),
        (faults.refuse(429, "slow down", {"Retry-After": "1"}), "retry-after", "1"),
        (faults.refuse(500, "proxy says no", {"Content-Type": "text/plain"}), "content-type", "text/plain"),
    ],
)
def test_an_upgrade_is_refused_in_any_words(
    sandbox: Sandbox, access: Access, fault: faults.Fault, header: str, value: str
) -> None:
    sandbox.on_exec("*", fault)
    with plain.upgrade(access, plain.exec_path("example", "true"), [V5]) as refused:
        assert refused.response.headers[header] == value


def test_a_body_without_a_length_ends_with_the_connection(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("*", faults.refuse(502, "<html>", content_length=False))
    with plain.upgrade(access, plain.exec_path("example", "true"), [V5]) as refused:
        assert "content-length" not in refused.response.headers
        assert refused.response.body == b"<html>"


def test_a_stall_lasts_until_it_is_released(sandbox: Sandbox, access: Access) -> None:
    stall = faults.stall()
    sandbox.on_exec("count", stall)
    with plain.upgrade(access, plain.exec_path("example", *_COUNT), [V5]) as connection:
        connection.round_trip()
        assert connection.stdout == b""
        stall.release()
        assert connection.drain().exit_code == 3
    assert plain.run(access, "example", *_COUNT).exit_code == 3


@pytest.mark.parametrize("path", ["/version", plain.exec_path("example", *_COUNT)])
def test_a_request_is_left_unanswered_until_released(sandbox: Sandbox, access: Access, path: str) -> None:
    stall = faults.stall(unanswered=True)
    sandbox.on_exec("count", stall)
    sandbox.on_request("GET", "/version", stall)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(plain.get, access, path)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        stall.release()
        assert waiting.result(plain.TIMEOUT).status in (200, 400)


def test_a_stall_may_end_by_itself(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.stall(0.01))
    assert plain.run(access, "example", *_COUNT).exit_code == 3


def test_a_flood_comes_before_the_output(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.flood(3_000_001))
    done = plain.run(access, "example", *_COUNT)
    assert (len(done.stdout), done.stdout[-8:], done.exit_code) == (3_000_001 + 8, b"one\ntwo\n", 3)


def test_a_flood_stops_when_the_client_goes(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.flood(10**15))
    with plain.upgrade(access, plain.exec_path("example", *_COUNT), [V5]) as connection:
        connection.until(1, b"0123456789abcde\n")


@pytest.mark.parametrize(
    ("fault", "frame"),
    [
        (faults.unknown_channel(), (2, b"\x09what is this?")),
        (faults.server_close_message(2), (2, b"\xff\x02")),
        (faults.empty_message(), (2, b"")),
        (faults.empty_message(3), (2, b"\x03")),
    ],
)
def test_an_odd_message_comes_before_the_output(
    sandbox: Sandbox, access: Access, fault: faults.Fault, frame: tuple[int, bytes]
) -> None:
    sandbox.on_exec("count", fault)
    done = plain.run(access, "example", *_COUNT)
    assert done.frames[1] == frame
    assert (done.stdout, done.exit_code) == (b"one\ntwo\n", 3)


def test_one_message_is_larger_than_any_server_sends(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.oversized_message(20))
    done = plain.run(access, "example", *_COUNT)
    assert len(done.frames[1][1]) == 20 * 1024 * 1024 + 1
    assert done.exit_code == 3


def test_stdin_is_left_unread_while_output_flows(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.stop_reading_stdin())
    path = plain.exec_path("example", *_COUNT, stdin="true")
    with plain.upgrade(access, path, [V5]) as connection:
        connection.send(b"there?", plain.PING)
        connection.drain()
    assert (connection.exit_code, plain.PONG in dict(connection.frames)) == (3, False)


def test_a_fault_hits_only_execs_that_say_the_word_and_only_so_often(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec("count", faults.close_without_status(), times=1)
    assert plain.run(access, "example", "true").exit_code == 0
    assert plain.run(access, "example", *_COUNT).status is None
    assert plain.run(access, "example", *_COUNT).exit_code == 3


def test_cleared_faults_are_gone(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_exec(None, faults.drop_connection())
    sandbox.on_request("GET", "/version", faults.refuse(500))
    sandbox.clear_faults()
    assert plain.run(access, "example", "true").exit_code == 0
    assert plain.get(access, "/version").status == 200


def test_a_read_is_refused_as_often_as_wanted(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_request("GET", "/pods?", faults.refuse(429, "{}", {"Retry-After": "0"}), times=2)
    path = "/api/v1/namespaces/default/pods?limit=1"
    answers = [plain.get(access, path) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "0"
    assert json.loads(answers[2].body)["items"]
