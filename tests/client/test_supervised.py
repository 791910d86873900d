"""What the supervisor gives a run beyond a bare exec, on the sandbox and on a real cluster alike."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kexec_magic import Cluster, CommandNotStarted, InputStream, Outcome, TimedOut
from tests.conftest import Place

pytestmark = pytest.mark.cluster

SECONDS = 60


def test_arguments_variables_and_the_folder_reach_the_script(cluster: Cluster) -> None:
    result = cluster.run(
        "example",
        'pwd; printf "%s|" "$1" "$A" "$B"',
        args=["one 'two'"],
        env={"A": 'x"y$z', "B": "1\n2"},
        cwd="/proc",
    )
    assert result.check().stdout == "/proc\none 'two'|x\"y$z|1\n2|"


def test_a_program_gets_variables_and_a_folder_too(cluster: Cluster) -> None:
    assert cluster.run("example", argv=["sh", "-c", "pwd; echo $A"], env={"A": "a b"}, cwd="/").lines() == ["/", "a b"]


def test_a_folder_that_is_not_there_is_a_start_that_failed(cluster: Cluster) -> None:
    result = cluster.run("example", "echo never", cwd="/no/such folder")
    assert (result.outcome, result.exit_code, result.stdout) == (Outcome.START_FAILED, None, "")
    with pytest.raises(CommandNotStarted, match="no folder '/no/such folder'"):
        result.check()


@pytest.mark.parametrize(
    ("shell", "script", "expected"),
    [
        ("bash", 'a=(x y); echo "${a[1]} $1"', "y arg\n"),
        ("bash -e", "false; echo never", ""),
        ("python3", "import sys; print(sys.argv[1:])", "['arg']\n"),
    ],
)
def test_another_shell_reads_the_script(cluster: Cluster, shell: str, script: str, expected: str) -> None:
    assert cluster.run("tools", script, shell=shell, args=["arg"]).stdout == expected


@pytest.mark.parametrize(
    ("shell", "script"), [("sh", "\n\nnosuch"), ("bash", "\n\nnosuch"), ("python3", "\n\nraise ValueError('x')")]
)
def test_errors_name_the_lines_of_the_cell(cluster: Cluster, shell: str, script: str) -> None:
    stderr = cluster.run("tools", script, shell=shell).stderr
    assert "line 3" in stderr or " 3:" in stderr


def test_a_shell_that_is_not_there_is_a_start_that_failed(cluster: Cluster) -> None:
    with pytest.raises(CommandNotStarted, match="no command 'zsh'"):
        cluster.run("example", "true", shell="zsh").check()


def test_a_script_of_a_megabyte_runs_to_its_end(cluster: Cluster) -> None:
    script = "# 3456789\n" * 120_000 + "echo end"
    assert cluster.run("example", script, timeout=SECONDS).check().stdout == "end\n"


def test_an_empty_script_succeeds(cluster: Cluster) -> None:
    assert cluster.run("example", "").check().stdout == ""


@pytest.mark.parametrize("kind", ["text", "bytes", "path", "file", "text file", "frame"])
def test_input_comes_from_whatever_is_at_hand(cluster: Cluster, kind: str, tmp_path: Path) -> None:
    class Frame:
        def to_csv(self, *, index: bool) -> str:
            assert not index
            return "a,b\n1,ä\n"

    path = tmp_path / "input.csv"
    path.write_text("a,b\n1,ä\n", encoding="utf-8")
    source = {
        "text": "a,b\n1,ä\n",
        "bytes": "a,b\n1,ä\n".encode(),
        "path": path,
        "file": io.BytesIO("a,b\n1,ä\n".encode()),
        "text file": io.StringIO("a,b\n1,ä\n"),
        "frame": Frame(),
    }[kind]
    assert cluster.run("example", argv=["cat"], stdin=source, timeout=SECONDS).check().stdout == "a,b\n1,ä\n"


def test_an_open_stream_of_input_is_answered_as_it_is_written(cluster: Cluster) -> None:
    stream = InputStream()
    seen: list[bytes] = []

    def on_output(_channel: str, data: bytes) -> None:
        seen.append(data)
        if b"".join(seen) == b"got one\n":
            stream.write("two\n")
        elif b"".join(seen) == b"got one\ngot two\n":
            stream.close()

    stream.write("one\n")
    script = 'while read line; do echo "got $line"; done; echo end'
    result = cluster.run("example", script, stdin=stream, on_output=on_output, timeout=SECONDS)
    assert result.check().stdout == "got one\ngot two\nend\n"


def test_an_input_that_cannot_be_read_ends_the_run_with_its_own_error(cluster: Cluster) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        cluster.run("example", "cat; sleep 100", stdin=Broken(), timeout=SECONDS)


def test_a_stop_is_not_delayed_by_input_that_nobody_reads(cluster: Cluster) -> None:
    result = cluster.run("example", "echo on; sleep 100", stdin=bytes(10_000_000), timeout=3, ladder=(5, 5, 5))
    assert (result.outcome, result.exit_code, result.stdout) == (Outcome.TIMED_OUT, 130, "on\n")
    with pytest.raises(TimedOut, match="ended by SIGINT"):
        result.check()


def test_on_a_terminal_everything_is_one_stream_and_the_input_ends(cluster: Cluster) -> None:
    script = "test -t 0 && test -t 1 && echo terminal; echo error >&2; cat; exit 4"
    result = cluster.run("example", script, tty=True, stdin="typed", timeout=SECONDS)
    assert (result.exit_code, result.stderr) == (4, "")
    lines = result.stdout.replace("\r\n", "\n")
    assert "terminal\n" in lines
    assert "error\n" in lines
    # Once as the terminal's echo, once from cat.
    assert lines.count("typed") == 2


def test_a_terminal_that_makes_no_signal_of_what_is_typed_does_not_keep_a_run_from_its_stop(cluster: Cluster) -> None:
    result = cluster.run("example", "stty -isig; echo on; sleep 100", tty=True, timeout=2, ladder=(2, 20, 2))
    assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 130)
    assert result.reason == "no end within 2.0 s; ended by SIGINT"


def test_a_long_script_on_a_terminal_is_not_cut(cluster: Cluster) -> None:
    script = f"x='{'y' * 9000}'\n" + "# \x03\x04\n" + 'echo "${#x}"'
    assert cluster.run("example", script, tty=True, timeout=SECONDS).check().stdout == "9000\r\n"


def test_what_a_command_leaves_behind_does_not_hold_the_run(cluster: Cluster) -> None:
    result = cluster.run("example", "sleep 7 & echo $!; exit 3", timeout=SECONDS)
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.EXITED, 3, True)
    assert result.still_running == (int(result.stdout),)
    assert result.duration < 6
    # It was meant to go on, and does.
    assert cluster.run("example", f"kill {result.stdout}").ok


def test_what_a_command_leaves_behind_without_holding_its_output_is_not_looked_for(cluster: Cluster) -> None:
    result = cluster.run("example", "sleep 1 >/dev/null 2>&1 & echo on", timeout=SECONDS)
    assert (result.check().stdout, result.still_running) == ("on\n", ())


def test_a_direct_run_says_that_its_stop_only_disconnects(cluster: Cluster) -> None:
    result = cluster.run("example", argv=["sleep", "3"], direct=True, timeout=1)
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.TIMED_OUT, None, False)
    assert "may still run" in str(result.hint)


def test_without_a_shell_a_program_runs_bare_and_it_is_said_so(cluster: Cluster) -> None:
    assert cluster.run("noshell", argv=["echo", "bare"]).check().stdout == "bare\n"
    with pytest.raises(CommandNotStarted, match="no shell"):
        cluster.run("noshell", argv=["echo", "bare"], env={"A": "b"}).check()
    result = cluster.run("noshell", argv=["sleep", "3"], timeout=1)
    assert "may still run" in str(result.hint)


def test_a_stop_before_anything_ran_runs_nothing(cluster: Cluster) -> None:
    result = cluster.run("example", "echo never; sleep 3", timeout=0.001)
    assert (result.outcome, result.stdout, result.complete) == (Outcome.TIMED_OUT, "", False)
    assert result.hint == "nothing ran; it is safe to run it again"


def test_a_client_that_was_asleep_for_too_long_is_told_that_its_run_was_ended_for_that(
    place: Place, cluster: Cluster
) -> None:
    program = (
        "import sys; from kexec_magic import run\n"
        "def show(channel, data): print(data.decode(), end='', flush=True)\n"
        "r = run('example', 'echo $$; exec sleep 100', kubeconfig=sys.argv[1], orphan_after=1, on_output=show)\n"
        "print(r.outcome, r.exit_code, r.reason)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(place.kubeconfig)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)
        # Until the command is gone, or a zombie.
        waiting = f"while grep -q '^State:.[^ZX]' /proc/{pid}/status; do sleep 0.1; done 2>/dev/null"
        cluster.run("example", waiting, timeout=SECONDS).check()
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=SECONDS)
    assert b"Outcome.LOST None the pod heard nothing of this kernel for 1.0 s, and ended it" in output


def test_a_cell_on_another_thread_is_stopped_by_its_deadline_all_the_same(cluster: Cluster) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: cluster.run("example", "sleep 100", timeout=2), range(4)))
    assert {(result.outcome, result.exit_code) for result in results} == {(Outcome.TIMED_OUT, 130)}
    assert threading.current_thread() is threading.main_thread()
