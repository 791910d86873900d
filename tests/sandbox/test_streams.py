"""One exec's streams: stdin and its end, ttys, exit codes, and what happens when either side goes away."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox import plain
from tests.sandbox.plain import V4, V5, Access


def test_half_closing_stdin_lets_the_command_finish(access: Access) -> None:
    with plain.upgrade(access, plain.exec_path("example", "wc", "-c", stdin="true"), [V5]) as connection:
        connection.stdin(b"x" * 100_000)
        connection.close_stdin()
        assert connection.drain().stdout.strip() == b"100000"


def test_input_sent_right_after_the_upgrade_is_kept_for_the_command(access: Access) -> None:
    with plain.upgrade(access, plain.exec_path("example", "cat", stdin="true"), [V5]) as connection:
        for number in range(100):
            connection.stdin(b"%d\n" % number)
        connection.close_stdin()
        assert connection.drain().stdout == b"".join(b"%d\n" % number for number in range(100))


def test_every_byte_arrives_as_it_was_sent(access: Access) -> None:
    every = bytes(range(256)) * 40
    with plain.upgrade(access, plain.exec_path("example", "cat", stdin="true"), [V5]) as connection:
        connection.stdin(every)
        connection.close_stdin()
        assert connection.drain().stdout == every


def test_a_fragmented_message_loses_its_rest(access: Access) -> None:
    with plain.upgrade(access, plain.exec_path("example", "cat", stdin="true"), [V5]) as connection:
        connection.send(b"\0first", 2, fin=False)
        connection.send(b"second", 0)
        connection.close_stdin()
        assert connection.drain().stdout == b"first"


def test_base64_carries_input_and_output_as_text(access: Access) -> None:
    path = plain.exec_path("example", "head", "-n1", stdin="true")
    with plain.upgrade(access, path, ["v4.base64.channel.k8s.io"]) as connection:
        connection.send(b"0aGVsbG8K", 1)
        connection.drain()
    assert (1, b"1aGVsbG8K") in connection.frames
    assert {opcode for opcode, _ in connection.frames} == {1, plain.CLOSE}


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 255", 255), ("exit 256", 0), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("false", 1)],
)
def test_the_exit_code_is_that_of_the_command(access: Access, script: str, code: int) -> None:
    assert plain.run(access, "example", "sh", "-c", script).exit_code == code


@pytest.mark.parametrize("subprotocol", [V5, V4])
@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["/no/such"], "stat /no/such: no such file or directory"),
        (["/etc/passwd"], "permission denied"),
        (["/etc"], "permission denied"),
    ],
)
def test_a_program_that_cannot_run_is_an_internal_error_in_the_runtimes_words(
    access: Access, argv: list[str], reason: str, subprotocol: str
) -> None:
    status = plain.run(access, "example", *argv, subprotocols=[subprotocol]).status
    assert (status["reason"], status["code"]) == ("InternalError", 500)
    assert f'unable to start container process: exec: "{argv[0]}": {reason}: unknown' in status["message"]
    assert status["message"].count("Internal error occurred: ") == (2 if subprotocol == V5 else 1)


def test_a_script_without_an_interpreter_fails_in_the_container(access: Access) -> None:
    script = 'f=/tmp/$$; printf "#!/no/such" > $f; chmod +x $f; echo $f'
    path = plain.run(access, "example", "sh", "-c", script).stdout.decode().strip()
    done = plain.run(access, "example", path)
    assert (done.stderr, done.exit_code) == (f"exec {path}: no such file or directory\n".encode(), 1)


@pytest.mark.parametrize(
    ("options", "first"),
    [({"stdout": ""}, b"\x02"), ({"stdout": "", "stderr": "", "stdin": "1"}, b"\x03"), ({"stderr": ""}, b"\x01")],
)
def test_the_first_message_is_empty_and_on_the_lowest_output_channel(
    access: Access, options: dict[str, str], first: bytes
) -> None:
    with plain.upgrade(access, plain.exec_path("example", "true", **options), [V5]) as connection:
        assert connection.receive() == (2, first)


@pytest.mark.parametrize(("value", "given"), [("true", True), ("banana", True), ("0", False), ("FALSE", False)])
def test_a_flag_is_true_unless_it_says_otherwise(access: Access, value: str, given: bool) -> None:
    path = plain.exec_path("example", "sh", "-c", "echo out; echo err >&2", stderr=value)
    with plain.upgrade(access, path, [V5]) as connection:
        assert connection.drain().stderr == (b"err\n" if given else b"")


def test_an_empty_flag_is_true(access: Access) -> None:
    path = "/api/v1/namespaces/default/pods/example/exec?command=echo&command=x&stdout="
    with plain.upgrade(access, path, [V5]) as connection:
        assert connection.drain().stdout == b"x\n"


def test_a_command_leads_its_session_and_its_group_and_knows_nothing_of_the_machine(access: Access) -> None:
    assert plain.run(access, "example", "cut", "-d ", "-f1,4,5,6", "/proc/self/stat").stdout.split()[1] == b"0"
    pid, _, group, session = (
        plain.run(access, "example", "sh", "-c", "exec cut -d' ' -f1,4,5,6 /proc/self/stat").stdout.decode().split()
    )
    assert pid == group == session
    environment = plain.run(access, "example", "env").stdout.decode()
    names = {line.split("=")[0] for line in environment.splitlines()}
    assert names == {"PATH", "HOSTNAME", "HOME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}


def test_signals_that_python_ignores_are_not_ignored_in_the_pod(access: Access) -> None:
    assert plain.ignored_signals(access, "example") == set()


def test_the_exec_lasts_as_long_as_something_holds_its_output(access: Access) -> None:
    script = "(read line < /tmp/held; echo late) & echo early"
    plain.run(access, "example", "mkfifo", "/tmp/held")
    with plain.upgrade(access, plain.exec_path("example", "sh", "-c", script), [V5]) as connection:
        connection.until(1, b"early\n")
        connection.round_trip()
        assert connection.status is None
        plain.run(access, "example", "sh", "-c", "echo go > /tmp/held")
        assert connection.drain().stdout == b"early\nlate\n"
        assert connection.exit_code == 0


def test_a_client_that_goes_away_leaves_the_command_running(access: Access) -> None:
    script = "mkfifo /tmp/away; echo $$; read line < /tmp/away; echo $line > /tmp/proof"
    with plain.upgrade(access, plain.exec_path("example", "sh", "-c", script), [V5]) as connection:
        connection.until(1, b"\n")
    plain.run(access, "example", "sh", "-c", "echo alive > /tmp/away; until [ -s /tmp/proof ]; do :; done")
    assert plain.run(access, "example", "cat", "/tmp/proof").stdout == b"alive\n"


@pytest.mark.parametrize("subprotocol", [V5, V4])
@pytest.mark.parametrize("closing", [True, False])
def test_a_client_that_goes_away_ends_the_input_at_once(access: Access, subprotocol: str, closing: bool) -> None:
    marker = f"/tmp/eof-{subprotocol}-{closing}"
    path = plain.exec_path("example", "sh", "-c", f"echo in; cat; echo seen > {marker}", stdin="true")
    with plain.upgrade(access, path, [subprotocol]) as connection:
        connection.until(1, b"in\n")
        if closing:
            connection.send(b"\x03\xe8", plain.CLOSE)
    plain.run(access, "example", "sh", "-c", f"until [ -s {marker} ]; do :; done")


def test_a_command_that_does_not_read_stops_nobody(access: Access) -> None:
    script = "head -c 1 >/dev/null; exec 0<&-; echo deaf; exit 4"
    with plain.upgrade(access, plain.exec_path("example", "sh", "-c", script, stdin="true"), [V5]) as connection:
        connection.stdin(b"x" * 30_000)
        connection.until(1, b"deaf\n")
        connection.stdin(b"y" * 30_000)
        assert connection.drain().exit_code == 4


def test_output_waits_for_a_slow_client_and_none_of_it_is_lost(access: Access) -> None:
    size = 20_000_000
    script = f"head -c {size} /dev/zero; touch /tmp/written"
    with plain.upgrade(access, plain.exec_path("example", "sh", "-c", script), [V5]) as connection:
        connection.receive()
        # Nothing is read here: sockets and buffers hold some megabytes, so the command must be waiting.
        assert plain.run(access, "example", "ls", "/tmp/written").exit_code == 1
        assert len(connection.drain().stdout) == size
        assert connection.exit_code == 0


def test_many_execs_at_once_each_get_their_own_answer(access: Access) -> None:
    def answer(number: int) -> tuple[bytes, int | None]:
        pod = f"web-{number % 4 + 1}"
        done = plain.run(access, pod, "sh", "-c", f"echo {number}; exit {number}", subprotocols=[(V5, V4)[number % 2]])
        return done.stdout, done.exit_code

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(answer, range(200))) == [(b"%d\n" % number, number) for number in range(200)]


def test_arguments_of_any_bytes_and_much_of_them_arrive(access: Access) -> None:
    arguments = ["é€ \u2028", "", "a\nb", "-n", "$HOME", *["x" * 100_000] * 7]
    done = plain.run(access, "example", "printf", "%s|", *arguments)
    assert done.stdout.decode() == "".join(f"{argument}|" for argument in arguments)


def test_a_frame_without_a_mask_ends_the_connection(access: Access) -> None:
    with plain.upgrade(access, plain.exec_path("example", "cat", stdin="true"), [V5]) as connection:
        connection.send(b"\0x", masked=False)
        assert connection.drain().frames[-1] == (plain.CLOSE, (1002).to_bytes(2, "big"))


def test_a_tty_merges_the_outputs_and_follows_its_size(access: Access) -> None:
    script = "tty; read line; stty size; echo err >&2"
    path = plain.exec_path("example", "sh", "-c", script, stdin="true", tty="true", stderr="")
    with plain.upgrade(access, path, [V5]) as connection:
        connection.until(1, b"/dev/pts/")
        connection.send(b'\x04{"Width":100,"Height":40}')
        connection.stdin(b"go\n")
        connection.drain()
    assert re.fullmatch(rb"/dev/pts/\d+\r\ngo\r\n40 100\r\nerr\r\n", connection.stdout)
    assert (connection.stderr, connection.exit_code) == (b"", 0)


def test_a_tty_command_outlives_its_client(access: Access) -> None:
    script = "mkfifo /tmp/tty; echo ready; read line < /tmp/tty; echo $line > /tmp/tty-proof"
    path = plain.exec_path("example", "sh", "-c", script, stdin="true", tty="true", stderr="")
    with plain.upgrade(access, path, [V5]) as connection:
        connection.until(1, b"ready")
    plain.run(access, "example", "sh", "-c", "echo alive > /tmp/tty; until [ -s /tmp/tty-proof ]; do :; done")


@pytest.mark.parametrize("size", [b"", b"{", b"[]", b'{"Width":"x","Height":1}', b'{"Width":70000,"Height":1}'])
def test_a_size_that_is_none_is_ignored(access: Access, size: bytes) -> None:
    path = plain.exec_path("example", "sh", "-c", "echo ready; read line", stdin="true", tty="true", stderr="")
    with plain.upgrade(access, path, [V5]) as connection:
        connection.until(1, b"ready")
        connection.send(b"\x04" + size)
        connection.stdin(b"\n")
        assert connection.drain().exit_code == 0


def test_a_request_without_an_upgrade_is_told_so(access: Access) -> None:
    response = plain.get(access, plain.exec_path("example", "true"))
    assert (response.status, response.json()["message"]) == (400, "Upgrade request required")


def test_spdy_is_refused_and_named(access: Access) -> None:
    headers = {"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}
    response = plain.get(access, plain.exec_path("example", "true"), method="POST", headers=headers)
    assert response.status == 400
    assert "SPDY" in response.json()["message"]
