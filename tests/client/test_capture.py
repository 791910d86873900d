"""What is kept of output: every byte, wherever it is, or a count of those that could not be."""

from __future__ import annotations

import gc
import os
import resource
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic import OptionError
from kexec_magic.execution.memory import MemoryBudget
from kexec_magic.execution.output import Capture, CaptureReader
from kexec_magic.execution.quantities import format_size, parse_size
from kexec_magic.wire.channels import Channel

OUT, ERR = Channel.STDOUT, Channel.STDERR
KB = 1000
MIB = 1024 * 1024

PIECES = st.lists(st.tuples(st.sampled_from([OUT, ERR]), st.binary(max_size=40)), max_size=40)


@pytest.fixture(autouse=True)
def spool_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEXEC_SPOOL_DIR", str(tmp_path))
    return tmp_path


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def filled(budget: MemoryBudget, size: int, *, limit: int | None = None) -> Capture:
    capture = Capture(limit, budget)
    for _ in range(size // KB):
        capture.append(OUT, b"x" * KB)
    capture.finish()
    return capture


@given(
    pieces=PIECES, repeat=st.sampled_from([1, 3_000]), limit=st.sampled_from([0, 200_000, 10**9]), late=st.booleans()
)
def test_whatever_arrives_is_given_back_from_memory_and_from_disk_alike(
    pieces: list[tuple[Channel, bytes]], repeat: int, limit: int, late: bool
) -> None:
    capture = Capture(None, MemoryBudget(limit))
    for channel, data in pieces:
        capture.append(channel, data * repeat)
    if late:
        capture.finish()
    for wanted in (OUT, ERR):
        expected = b"".join(data * repeat for channel, data in pieces if channel is wanted)
        assert capture.read(wanted) == expected
        assert capture.size(wanted) == len(expected)
        assert capture.tail(wanted) == expected[-4096:]
        assert CaptureReader(capture, wanted).readall() == expected


@given(pieces=PIECES, cuts=st.lists(st.integers(1, 7), min_size=1), limit=st.sampled_from([0, 10**9]))
def test_any_cut_of_what_arrives_gives_the_same_bytes_in_the_same_order(
    pieces: list[tuple[Channel, bytes]], cuts: list[int], limit: int
) -> None:
    capture = Capture(None, MemoryBudget(limit))
    sizes = iter(cuts * 2_000)
    for channel, data in pieces:
        while data:
            size = next(sizes)
            capture.append(channel, data[:size])
            data = data[size:]
    expected = [
        (channel, b"".join(data for _, data in group))
        for channel, group in groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    ]
    assert list(capture.interleaved()) == expected


def test_a_long_row_of_one_channel_is_cut_at_each_mebibyte_however_it_came() -> None:
    for size in (1000, 70_000, 3 * MIB):
        capture = Capture(None, MemoryBudget(MIB))
        data = os.urandom(3 * MIB + 5)
        for start in range(0, len(data), size):
            capture.append(OUT, data[start : start + size])
        pieces = list(capture.interleaved())
        assert [len(piece) for _, piece in pieces] == [MIB, MIB, MIB, 5]
        assert b"".join(piece for _, piece in pieces) == data


def test_what_goes_beyond_the_budget_is_on_disk_under_no_name(spool_dir: Path) -> None:
    before = descriptors()
    budget = MemoryBudget(MIB)
    capture = filled(budget, 20 * MIB)
    assert budget.held <= MIB
    assert descriptors() == before + 1
    assert list(spool_dir.iterdir()) == []
    assert capture.read(OUT) == b"x" * capture.size(OUT)


def test_the_largest_result_makes_room_so_that_few_files_are_needed() -> None:
    before = descriptors()
    budget = MemoryBudget(4 * MIB)
    captures = [filled(budget, 3 * MIB), *(filled(budget, 100 * KB) for _ in range(30))]
    assert budget.held <= 4 * MIB
    assert descriptors() == before + 1
    assert all(capture.read(OUT) == b"x" * capture.size(OUT) for capture in captures)


def test_a_result_that_is_dropped_frees_memory_and_disk_at_once(spool_dir: Path) -> None:
    before = descriptors()
    budget = MemoryBudget(8 * MIB)
    captures = [filled(budget, 5 * MIB), filled(budget, 5 * MIB)]
    assert descriptors() == before + 1
    gc.disable()
    try:
        captures.clear()
        assert budget.held == 0
        assert descriptors() == before
    finally:
        gc.enable()


def single_bytes(pieces: Iterable[tuple[Channel, bytes]]) -> list[tuple[Channel, int]]:
    return [(channel, byte) for channel, data in pieces for byte in data]


@given(pieces=PIECES, limit=st.integers(0, 300))
def test_beyond_its_limit_a_capture_counts_and_keeps_a_beginning(
    pieces: list[tuple[Channel, bytes]], limit: int
) -> None:
    capture = Capture(limit, MemoryBudget(MIB))
    for channel, data in pieces:
        capture.append(channel, data)
    whole = single_bytes(pieces)
    assert single_bytes(capture.interleaved()) == whole[:limit]
    assert capture.truncated == max(0, len(whole) - limit)
    assert bool(capture.truncated_because) == bool(capture.truncated)
    for wanted in (OUT, ERR):
        assert capture.tail(wanted) == b"".join(data for channel, data in pieces if channel is wanted)[-4096:]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have the system refuse longer files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_keeping_with_a_count_and_a_reason(spool_dir: Path) -> None:
    budget = MemoryBudget(MIB)
    with files_of_at_most(5 * MIB):
        capture = filled(budget, 20 * MIB)
    assert 5 * MIB - 300 * KB < capture.size(OUT) <= 6 * MIB
    assert capture.size(OUT) + capture.truncated == 20 * MIB // KB * KB
    assert capture.truncated_because == f"{spool_dir} takes no more: File too large"
    assert capture.read(OUT) == b"x" * capture.size(OUT)


def test_a_folder_that_is_not_there_costs_nothing_that_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEXEC_SPOOL_DIR", "/no/such folder")
    capture = filled(MemoryBudget(MIB), 20 * MIB)
    assert capture.truncated_because == "/no/such folder takes no more: No such file or directory"
    assert MIB <= capture.size(OUT) < 2 * MIB
    assert capture.read(OUT) == b"x" * capture.size(OUT)


def test_a_reader_on_another_thread_finds_a_beginning_at_any_time() -> None:
    budget = MemoryBudget(MIB)
    capture = Capture(None, budget)
    wrong: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            found = capture.read(OUT)
            if found != (b"0123456789" * (len(found) // 10 + 1))[: len(found)]:
                wrong.append(len(found))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(3_000):
        capture.append(OUT, b"0123456789" * 100)
        if number % 3 == 0:
            capture.append(ERR, b"between")
    over.set()
    thread.join()
    assert wrong == []


def test_captures_of_many_threads_share_one_budget() -> None:
    budget = MemoryBudget(2 * MIB)
    captures: list[Capture] = []
    threads = [threading.Thread(target=lambda: captures.append(filled(budget, 3 * MIB))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.held <= 2 * MIB
    assert {capture.size(OUT) for capture in captures} == {3 * MIB // KB * KB}
    assert all(capture.read(OUT) == b"x" * capture.size(OUT) for capture in captures)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("64kB", 64_000), ("1.5MB", 1_500_000), ("2GiB", 2**31), ("10 KiB", 10_240), ("1k", 1000)],
)
def test_a_size_is_read_with_and_without_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e3", "1XB", "1 M B"])
def test_what_is_no_size_is_refused_by_its_words(text: str) -> None:
    with pytest.raises(OptionError, match="is no size"):
        parse_size(text)


def test_sizes_are_written_with_the_digits_that_matter() -> None:
    assert [format_size(size) for size in (12, 3_400, 20_000_000, 1_230_000_000)] == [
        "12 B",
        "3.4 kB",
        "20.0 MB",
        "1.23 GB",
    ]
