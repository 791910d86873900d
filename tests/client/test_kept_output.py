"""What a result gives of its output, whole or not, on the sandbox and on a real cluster alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexec_magic import Cluster, OptionError, Outcome, OutputError

pytestmark = pytest.mark.cluster

NUMBERS = "".join(f"{number}\n" for number in range(1, 1001)).encode()


def test_a_limit_keeps_a_beginning_counts_the_rest_and_lets_the_command_end(cluster: Cluster) -> None:
    seen: list[bytes] = []
    result = cluster.run(
        "example", "seq 1000; exit 3", max_capture=100, on_output=lambda _channel, data: seen.append(data)
    )
    assert (result.outcome, result.exit_code, result.complete) == (Outcome.EXITED, 3, False)
    assert (result.stdout_bytes, result.truncated) == (NUMBERS[:100], len(NUMBERS) - 100)
    assert b"".join(seen) == NUMBERS
    assert "3.8 kB not kept" in repr(result)


def test_what_was_not_kept_whole_is_neither_parsed_nor_saved(cluster: Cluster, tmp_path: Path) -> None:
    result = cluster.run("example", "echo 12345678", max_capture=4)
    with pytest.raises(OutputError, match="5 B are missing at its end"):
        result.json()
    with pytest.raises(OutputError, match="was not kept whole"):
        result.save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    assert result.save(tmp_path / "errors", channel="stderr").read_bytes() == b""


def test_a_channel_is_read_as_a_file_and_saved_to_one(cluster: Cluster, tmp_path: Path) -> None:
    result = cluster.run("example", "seq 1000; seq 2000 >&2")
    with result.open_stdout() as file:
        assert file.readline() == b"1\n"
        assert file.read() == NUMBERS[2:]
    assert result.save(tmp_path / "errors", channel="stderr").read_bytes() == result.stderr_bytes
    with pytest.raises(FileExistsError):
        result.save(tmp_path / "errors")
    with pytest.raises(OptionError, match="no channel 'output'"):
        result.save(tmp_path / "other", channel="output")
