"""The supervisor's program in real shells, over pipes: what is sent arrives unchanged, and what ends leaves nothing."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexec_magic.wire.channels import Channel
from kexec_magic.wire.protocol import Output
from kexec_magic.wire.supervisor import Began, Exited, Found, Launch, Mode, NotBegun, Orphaned, Said, Supervision

SECONDS = 20.0
SHELLS = [
    shell for shell in (["busybox", "ash"], ["dash"], ["bash"], ["bash", "--posix"]) if shutil.which(shell[0])
] or [["sh"]]
# None of these runs out of memory, which this machine's cgroup tells where there is one to read.
COUNTERS = [Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control")]
KILLS = 0 if any(path.exists() for path in COUNTERS) else None
in_shells = pytest.mark.parametrize("shell", SHELLS, ids="-".join)


@dataclass
class Exec:
    """A supervisor on pipes, as a container runtime starts one: the leader of its own session."""

    process: subprocess.Popen[bytes]
    supervision: Supervision
    output: dict[Channel, bytes] = field(default_factory=lambda: {Channel.STDOUT: b"", Channel.STDERR: b""})
    said: list[Said] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def until(self, kind: type[Said]) -> Said:
        """Read until something is said."""
        for item in self._items():
            if isinstance(item, kind):
                return item
        raise AssertionError(f"no {kind.__name__} in {self.said}, {self.output}")

    def until_output(self, data: bytes) -> None:
        """Read until something stands on stdout."""
        if data not in self.output[Channel.STDOUT]:
            assert any(data in self.output[Channel.STDOUT] for _ in self._items()), self.output

    def drain(self) -> int:
        """Read to the end of both streams; give the exit code."""
        for _ in self._items():
            pass
        return self.process.wait(SECONDS)

    def _items(self) -> Iterator[Said | None]:
        """Give what is said, and None for other output, as it arrives."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        open_ones = {self.process.stdout.fileno(): Channel.STDOUT, self.process.stderr.fileno(): Channel.STDERR}
        deadline = time.monotonic() + SECONDS
        while open_ones:
            ready, _, _ = select.select(list(open_ones), [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"nothing more came: {self.said}, {self.output}"
            for descriptor in ready:
                data = os.read(descriptor, 65536)
                if not data:
                    del open_ones[descriptor]
                    continue
                for item in self.supervision.receive(Output(open_ones[descriptor], data)):
                    if isinstance(item, Output):
                        self.output[item.channel] += item.data
                        yield None
                    else:
                        self.said.append(item)
                        yield item


@contextmanager
def started(
    shell: list[str], launch: Launch, *, mode: Mode = Mode.RUN, orphan_after: int | None = 60
) -> Iterator[Exec]:
    supervision = Supervision("n" * 32, f"{time.monotonic_ns():x}", orphan_after=orphan_after)
    with subprocess.Popen(
        [*shell, *Supervision.argv()[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    ) as process:
        found = Exec(process, supervision)
        try:
            found.send(supervision.opening(mode, launch))
            yield found
        finally:
            process.kill()


def run(shell: list[str], launch: Launch) -> tuple[int, bytes, bytes]:
    with started(shell, launch) as found:
        code = found.drain()
        assert found.said[-1] == Exited(code, KILLS)
        return code, found.output[Channel.STDOUT], found.output[Channel.STDERR]


def processes_of(pids: set[int]) -> set[int]:
    """Give those of these processes that are alive."""
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            alive.add(pid)
    return alive


def session_of(leader: int) -> set[int]:
    """Give all processes of a session."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[3] == str(leader):
            found.add(int(folder.name))
    return found


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + SECONDS
    while processes_of(pids):
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.02)
    return True


@in_shells
def test_streams_stay_apart_and_the_exit_code_is_the_scripts(shell: list[str]) -> None:
    assert run(shell, Launch(script="echo out\necho err >&2\nexit 7\n")) == (7, b"out\n", b"err\n")


@in_shells
@pytest.mark.parametrize(("script", "code"), [("kill -TERM 0", 143), ("kill -KILL $$", 137), ("kill -INT $$", 130)])
def test_a_script_that_is_killed_says_so_in_its_code_alone(shell: list[str], script: str, code: int) -> None:
    assert run(shell, Launch(script=script)) == (code, b"", b"")


@in_shells
def test_errors_name_the_cells_own_lines(shell: list[str]) -> None:
    _, _, errors = run(shell, Launch(script="\n\nnosuchcommand\n"))
    assert re.search(rb"\b3: ", errors), errors


@in_shells
def test_a_script_has_no_input_and_no_descriptor_but_its_three(shell: list[str]) -> None:
    script = "cat; for d in /proc/self/fd/*; do [ -e $d ] && echo ${d##*/}; done"
    assert run(shell, Launch(argv=("sh", "-c", script)))[1].split() == [b"0", b"1", b"2"]


@in_shells
def test_the_nonce_is_nowhere_where_a_script_looks(shell: list[str]) -> None:
    script = "set; env; tr '\\0' '\\n' < /proc/$PPID/cmdline; tr '\\0' '\\n' < /proc/$PPID/environ"
    code, output, _ = run(shell, Launch(script=script))
    assert (code, b"n" * 32 in output) == (0, False)


@in_shells
@pytest.mark.parametrize("size", [10, 2_000, 2_100, 100_000, 200_000, 3_000_000])
def test_a_script_of_any_size_runs_to_its_last_line(shell: list[str], size: int) -> None:
    filler = "# %s\n" % ("x" * 70)
    assert run(shell, Launch(script=filler * (size // len(filler)) + "echo end; exit 5")) == (5, b"end\n", b"")


@in_shells
def test_a_script_that_is_cut_on_its_way_does_not_run(shell: list[str]) -> None:
    launch = Launch(script="echo ran\n" * 1000)
    with started(shell, Launch(script="true"), mode=Mode.FED) as found:
        found.close()
        found.drain()
        assert not any(isinstance(item, Exited) and item.exit_code == 0 for item in found.said)
    whole = Supervision("n" * 32, "m", orphan_after=60).opening(Mode.RUN, launch)
    for cut in (len(whole) - 3, len(whole) - 20, len(whole) // 2, 5000, 100):
        process = subprocess.run(
            [*shell, *Supervision.argv()[1:]], input=whole[:cut], capture_output=True, timeout=SECONDS
        )
        assert b"ran" not in process.stdout


@in_shells
def test_a_missing_program_and_a_missing_folder_are_told(shell: list[str]) -> None:
    for launch, lack in (
        (Launch(argv=("nosuchprogram",)), "program"),
        (Launch(script="true", folder="/no/such"), "folder"),
    ):
        with started(shell, launch) as found:
            found.drain()
            assert NotBegun(lack) in found.said


@in_shells
@pytest.mark.parametrize("signal", ["INT", "TERM", "KILL"])
def test_a_signal_ends_the_command_and_nothing_is_left(shell: list[str], signal: str) -> None:
    with started(shell, Launch(script="sleep 1000 | sleep 1000")) as found:
        began = found.until(Began)
        assert isinstance(began, Began)
        found.send(found.supervision.control(signal))
        exited = found.until(Exited)
        assert exited == Exited({"INT": 130, "TERM": 143, "KILL": 137}[signal], KILLS)
        ours = session_of(began.main)
        while True:
            found.send(found.supervision.control("look"))
            if found.until(Found) == Found(()):
                break
        assert found.drain() == exited.exit_code
        assert gone(ours | session_of(began.leader))


@in_shells
def test_a_signal_before_the_command_is_known_is_not_lost(shell: list[str]) -> None:
    with started(shell, Launch(script="sleep 1000")) as found:
        found.send(b"TERM\n")
        assert found.until(Exited) == Exited(143, KILLS)


@in_shells
@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000",
        "trap '' INT TERM HUP; sleep 1000; sleep 1000",
        "while :; do :; done",
        "setsid sleep 1000 & sleep 1000",
        "sleep 1000 & kill -STOP $$",
    ],
)
def test_when_the_client_is_gone_nothing_of_the_run_is_left(shell: list[str], script: str) -> None:
    with started(shell, Launch(script=f"echo on; {script}")) as found:
        began = found.until(Began)
        assert isinstance(began, Began)
        found.until_output(b"on\n")
        found.send(found.supervision.control("look"))
        looked = found.until(Found)
        assert isinstance(looked, Found)
        everything = set(looked.pids) | session_of(began.main) | session_of(began.leader)
        found.close()
        assert gone(everything)


@in_shells
def test_without_a_sign_of_life_the_run_is_ended(shell: list[str]) -> None:
    with started(shell, Launch(script="sleep 1000"), orphan_after=1) as found:
        began = found.until(Began)
        assert isinstance(began, Began)
        for _ in range(4):
            select.select([], [], [], 0.4)
            found.send(found.supervision.control("beat"))
        everything = session_of(began.main) | session_of(began.leader)
        assert processes_of({began.leader})
        assert gone(everything)
        found.drain()
        assert Orphaned() in found.said


@in_shells
def test_a_run_whose_client_neither_speaks_nor_listens_is_ended_too(shell: list[str]) -> None:
    # The pipes are full: whoever tells of the end has nowhere to write to.
    with started(shell, Launch(script="yes & yes >&2"), orphan_after=1) as found:
        began = found.until(Began)
        assert isinstance(began, Began)
        everything = session_of(began.main) | session_of(began.leader)
        assert processes_of(everything)
        assert gone(everything)


@in_shells
def test_a_run_that_is_to_be_kept_goes_on_without_its_client(shell: list[str]) -> None:
    with started(shell, Launch(script="read line < $1; echo $line > $1.done", args=("/dev/null",)), orphan_after=None):
        pass
    with started(shell, Launch(script="sleep 0.5; exit 3"), orphan_after=None) as found:
        found.until(Began)
        found.close()
        assert found.drain() == 3


def test_two_hundred_short_runs_with_a_timer_each_all_end() -> None:
    for number in range(200):
        shell = SHELLS[number % len(SHELLS)]
        assert run(shell, Launch(script=f"exit {number}"))[0] == number


# Any bytes but NUL, as Python holds what is no UTF-8.
TEXT = st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{3,12}", fullmatch=True).filter(lambda name: name not in os.environ)


@in_shells
@settings(max_examples=40)
@given(argv=st.lists(TEXT, max_size=5), environment=st.dictionaries(NAMES, TEXT, max_size=4))
def test_any_argv_and_environment_arrive_unchanged(
    shell: list[str], argv: list[str], environment: dict[str, str]
) -> None:
    program = 'printf "%s\\0" "$@"; for name in $NAMES; do eval "printf \'%s\\\\0\' \\"\\$$name\\""; done'
    launch = Launch(
        argv=("sh", "-c", program, "sh", *argv), environment={**environment, "NAMES": " ".join(environment)}
    )
    code, output, errors = run(shell, launch)
    expected = [text.encode("utf-8", "surrogateescape") for text in [*argv, *environment.values()]]
    # printf repeats its format once even where it has no arguments.
    assert (code, errors) == (0, b"")
    assert output == b"".join(text + b"\0" for text in (expected if argv else [b"", *expected]))


@in_shells
@settings(max_examples=40)
@given(text=TEXT, args=st.lists(TEXT, max_size=3), large=st.booleans())
def test_any_script_arrives_unchanged(shell: list[str], text: str, args: list[str], large: bool) -> None:
    body = text * 40 if large else text
    program = (
        "import os, sys; print(ascii(open(sys.argv[1], 'rb').read()), ascii([os.fsencode(a) for a in sys.argv[2:]]))"
    )
    launch = Launch(script=body, interpreter=("python3", "-c", program), args=tuple(args))
    code, output, _ = run(shell, launch)
    words = [os.fsencode(word) for word in args]
    assert (code, output) == (0, f"{os.fsencode(body)!a} {words!a}\n".encode())


@in_shells
@settings(max_examples=25)
@given(data=st.binary(max_size=300), repeat=st.sampled_from([1, 1000]), counted=st.booleans())
def test_any_input_arrives_unchanged(shell: list[str], data: bytes, repeat: int, counted: bool) -> None:
    data *= repeat
    with started(shell, Launch(argv=("cat",)), mode=Mode.COUNTED if counted else Mode.FED) as found:
        found.until(Began)
        found.send(b"go\n")
        if counted:
            found.send((b"%d\n" % len(data) + data if data else b"") + b"0\n")
        else:
            found.send(data)
            found.close()
        assert found.drain() == 0
        assert found.output[Channel.STDOUT] == data
