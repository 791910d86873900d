"""Runs in pods, on the sandbox and on a real cluster alike."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kexec_magic import (
    Cluster,
    CommandFailed,
    CommandInterrupted,
    CommandNotStarted,
    ExecResult,
    OptionError,
    Outcome,
    OutputError,
    TargetAmbiguous,
    TimedOut,
    run,
)
from tests.conftest import Place

pytestmark = pytest.mark.cluster


def test_stdout_stderr_and_the_exit_code_come_back_apart(cluster: Cluster) -> None:
    result = cluster.run("example", "echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 7)
    assert (result.outcome, result.complete, result.ok) == (Outcome.EXITED, True, False)


def test_a_command_without_output_succeeds(cluster: Cluster) -> None:
    result = cluster.run("example", argv=["true"])
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code, result.ok) == (b"", b"", 0, True)
    assert (result.reason, result.hint) == (None, None)


def test_the_target_is_told_with_its_container(cluster: Cluster, place: Place) -> None:
    target = cluster.run("pod/example", "true").target
    assert (target.context, target.namespace, target.pod, target.container) == (
        cluster.context,
        place.namespace,
        "example",
        "main",
    )


def test_argv_reaches_the_program_to_the_letter(cluster: Cluster) -> None:
    words = ["one two", "$HOME", "*", "'", '"', "\\", "", "ä\n", "a&b;c|d", "%41+%2B"]
    assert cluster.run("example", argv=["printf", "<%s>", *words]).stdout == "".join(f"<{word}>" for word in words)


def test_a_script_sees_its_arguments_and_an_empty_stdin(cluster: Cluster) -> None:
    result = cluster.run("example", 'cat; printf "%s|" "$#" "$1" "$2"', args=["a b", 3])
    assert result.stdout == "2|a b|3|"


@pytest.mark.parametrize("size", [1, 32 * 1024, 32 * 1024 + 1, 1_000_000])
def test_input_arrives_whole_and_ends(cluster: Cluster, size: int) -> None:
    data = os.urandom(size)
    result = cluster.run("tools", argv=["sha256sum"], stdin=data, timeout=60)
    assert result.check().stdout.split()[0] == hashlib.sha256(data).hexdigest()


def test_input_comes_back_byte_for_byte(cluster: Cluster) -> None:
    data = bytes(range(256)) * 400
    assert cluster.run("example", argv=["cat"], stdin=data, timeout=60).stdout_bytes == data


def test_a_command_that_does_not_read_its_input_ends_all_the_same(cluster: Cluster) -> None:
    result = cluster.run("example", argv=["true"], stdin=b"x" * 2_000_000, timeout=60)
    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 0)


def test_a_script_with_input_reads_it(cluster: Cluster) -> None:
    assert cluster.run("example", "wc -l; exit 3", stdin="1\n2\n", timeout=60).exit_code == 3


def test_large_output_is_complete(cluster: Cluster) -> None:
    line = "kexec-magic" * 9
    result = cluster.run("example", f"yes {line} | head -c 20000000", timeout=100)
    expected = (f"{line}\n".encode() * 210_000)[:20_000_000]
    assert len(result.stdout_bytes) == 20_000_000
    assert hashlib.sha256(result.stdout_bytes).digest() == hashlib.sha256(expected).digest()
    assert result.complete


def test_every_byte_value_survives(cluster: Cluster) -> None:
    octal = "".join(f"\\{value:03o}" for value in range(256))
    assert cluster.run("example", f"printf '{octal}'").stdout_bytes == bytes(range(256))


def test_output_arrives_while_the_command_runs_and_on_the_calling_thread(cluster: Cluster) -> None:
    calls: list[tuple[str, bytes, bool]] = []

    def on_output(channel: str, data: bytes) -> None:
        calls.append((channel, data, threading.current_thread() is threading.main_thread()))

    result = cluster.run("example", "echo first; sleep 0.5; echo second >&2", on_output=on_output)
    assert calls == [("stdout", b"first\n", True), ("stderr", b"second\n", True)]
    assert list(result.interleaved()) == [("stdout", b"first\n"), ("stderr", b"second\n")]


def test_an_error_repeats_stderr_without_its_colours_and_with_its_tabs(cluster: Cluster) -> None:
    result = cluster.run("example", "printf '\\033[1;31mbroken\\033[0m:\\tit \\007\\n' >&2; exit 1")
    with pytest.raises(CommandFailed, match="stderr: broken: it \N{REPLACEMENT CHARACTER}"):
        result.check()


def test_a_command_killed_by_a_signal_exits_with_128_and_the_signal(cluster: Cluster) -> None:
    result = cluster.run("example", "kill -9 $$")
    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 137)
    assert result.reason is not None
    assert "SIGKILL" in result.reason


def test_a_missing_program_is_a_start_that_failed(cluster: Cluster) -> None:
    result = cluster.run("example", argv=["nosuchcommand"])
    assert (result.outcome, result.exit_code, result.stdout_bytes) == (Outcome.START_FAILED, None, b"")
    with pytest.raises(CommandNotStarted, match="no command 'nosuchcommand'"):
        result.check()


def test_a_script_in_an_image_without_a_shell_says_what_works_there(cluster: Cluster) -> None:
    with pytest.raises(CommandNotStarted, match="no shell") as caught:
        cluster.run("noshell", "echo hello").check()
    assert "-- PROGRAM" in str(caught.value)
    assert cluster.run("noshell", argv=["echo", "hello"]).stdout == "hello\n"


def test_check_gives_the_result_or_raises_with_it(cluster: Cluster) -> None:
    good = cluster.run("example", "true")
    assert good.check() is good
    bad = cluster.run("example", "echo broken >&2; exit 3")
    with pytest.raises(CommandFailed, match="exit code 3") as caught:
        bad.check()
    assert caught.value.result is bad
    assert "stderr: broken" in str(caught.value)


def test_an_exit_code_that_was_said_to_be_ok_is_one(cluster: Cluster) -> None:
    assert cluster.run("example", "exit 3", ok=(0, 3)).check().exit_code == 3


def test_the_deadline_ends_a_run_and_keeps_its_output(cluster: Cluster) -> None:
    result = cluster.run("example", "echo before; sleep 3", timeout=1)
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.TIMED_OUT, 130, True)
    assert result.stdout == "before\n"
    with pytest.raises(TimedOut, match="no end within"):
        result.check()


def test_an_interrupt_ends_a_run_and_keeps_its_output(cluster: Cluster) -> None:
    before = signal.getsignal(signal.SIGINT)
    result = interrupted_run(cluster, "echo before; sleep 3")
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.INTERRUPTED, 130, True)
    assert result.reason == "interrupted; ended by SIGINT"
    assert result.stdout == "before\n"
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(CommandInterrupted):
        result.check()


def interrupted_run(cluster: Cluster, script: str) -> ExecResult:
    """Run a script and interrupt the main thread at its first output."""
    return cluster.run("example", script, on_output=lambda channel, data: signal.raise_signal(signal.SIGINT))


def test_on_another_thread_a_run_leaves_signals_alone(cluster: Cluster) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cluster.run, "example", "echo there").result().stdout == "there\n"


def test_an_error_in_the_callers_callback_is_the_callers(cluster: Cluster) -> None:
    def broken(channel: str, data: bytes) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        cluster.run("example", "echo out; sleep 3", on_output=broken)


def test_the_default_container_is_the_annotated_one(cluster: Cluster) -> None:
    assert cluster.run("multi", "true").target.container == "side"
    assert cluster.run("multi", "true", container="main").target.container == "main"


def test_a_selector_that_matches_one_pod_is_that_pod(cluster: Cluster) -> None:
    assert cluster.run(selector="app=example", script="echo it").stdout == "it\n"


def test_a_selector_that_matches_several_pods_names_them(cluster: Cluster) -> None:
    with pytest.raises(TargetAmbiguous) as caught:
        cluster.run(selector="app=web", script="true")
    assert caught.value.candidates == ("web-1", "web-2", "web-3", "web-4")


def test_a_selector_that_matches_nothing_says_so(cluster: Cluster) -> None:
    with pytest.raises(TargetAmbiguous, match="matches no pod"):
        cluster.run(selector="app=nosuch", script="true")


def test_64_runs_at_once_lose_nothing(cluster: Cluster) -> None:
    def one(number: int) -> str:
        return cluster.run("example", f"echo {number}; echo x >&2", timeout=60).check().stdout

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(64))) == [f"{number}\n" for number in range(64)]


def test_run_alone_takes_the_kubeconfig_and_closes_it(place: Place) -> None:
    assert run("example", "echo once", kubeconfig=place.kubeconfig).stdout == "once\n"


def test_run_takes_a_cluster_instead(cluster: Cluster, place: Place) -> None:
    assert run("example", "echo again", cluster=cluster).stdout == "again\n"
    with pytest.raises(OptionError):
        run("example", "true", cluster=cluster, kubeconfig=place.kubeconfig)


def test_pods_are_listed(cluster: Cluster) -> None:
    assert {"example", "multi", "web-1"} <= {pod.name for pod in cluster.pods()}
    assert [pod.name for pod in cluster.pods(selector="app=tools")] == ["tools"]


def test_lines_and_json_read_stdout(cluster: Cluster) -> None:
    assert cluster.run("example", "seq 3").lines() == ["1", "2", "3"]
    assert cluster.run("example", """echo '{"a": [1, "ä"]}'""").json() == {"a": [1, "ä"]}
    with pytest.raises(OutputError, match="not JSON"):
        cluster.run("example", "echo no").json()
