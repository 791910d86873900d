"""More output than a kernel has memory for: every byte is kept, little is held, and little is shown."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import Place
from tests.notebook.kernels import Executed, Kernel, kernel

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

MIB = 1024 * 1024
BUDGET = 16 * MIB

# How much more than idle and the budget a kernel may take, and how much may go to the notebook.
MORE = 150 * MIB
SHOWN = 3_000_000

LINE = "0123456789" * 7 + "012345678"
# What is generated goes to stdout, and its SHA-256 to stderr.
HASHED = "{{ {} | tee /proc/self/fd/3 | sha256sum >&2; }} 3>&1"
GENERATORS = {
    "text": (f"yes {LINE} | head -c {1024 * MIB}", 1024 * MIB),
    "progress": (f"yes {LINE} | tr '\\n' '\\r' | head -c 200000000", 200_000_000),
    "random": ("head -c 200000000 /dev/urandom", 200_000_000),
}


@dataclass
class Flooded:
    """A kernel with a budget of 16 MiB, and what it took."""

    kernel: Kernel
    pid: int

    def run(self, code: str) -> tuple[Executed, int, int]:
        """Run a cell; give what came of it, the bytes that were sent to the notebook, and the growth of memory."""
        idle = self._memory("VmRSS")
        # Begin anew with the peak (proc(5)).
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        executed = self.kernel.run(code, seconds=300)
        shown = sum(len(text.encode()) for name in ("stdout", "stderr") for text in executed.texts(name))
        return executed, shown, self._memory("VmHWM") - idle

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith(name))) * 1024


@pytest.fixture
def flooded(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flooded]:
    monkeypatch.setenv("KEXEC_CAPTURE_MEMORY", str(BUDGET))
    with kernel(place.kubeconfig, tmp_path) as found:
        found.run("%%kexec example\ntrue")
        yield Flooded(found, int(found.value("__import__('os').getpid()")))


def remember(label: str, started: float, size: int, shown: int, grown: int) -> None:
    """Print the figures, for whoever runs this with -s."""
    seconds = time.monotonic() - started
    print(
        f"{label}: {size / 1e6:.0f} MB in {seconds:.1f} s, {shown / 1e6:.2f} MB shown, "
        f"{(grown - BUDGET) / MIB:.0f} MiB over idle and budget"
    )


@pytest.mark.parametrize("name", GENERATORS)
def test_a_flood_is_kept_whole_and_neither_fills_the_memory_nor_the_notebook(flooded: Flooded, name: str) -> None:
    generate, size = GENERATORS[name]
    started = time.monotonic()
    executed, shown, grown = flooded.run(f"%%kexec tools\n{HASHED.format(generate)}")
    remember(name, started, size, shown, grown)
    assert executed.status == "ok", executed.messages[-1]
    assert shown < SHOWN
    assert grown < BUDGET + MORE
    assert flooded.kernel.value("_kexec.capture.size(1), _kexec.complete, _kexec.truncated") == f"({size}, True, 0)"
    digest = flooded.kernel.value(
        "__import__('hashlib').file_digest(_kexec.open_stdout(), 'sha256').hexdigest() + '  -\\n' == _kexec.stderr"
    )
    assert digest == "True"


def test_a_million_lines_on_alternating_channels_are_kept_in_order(flooded: Flooded) -> None:
    count = 500_000
    script = f"i=0; while [ $i -lt {count} ]; do echo {LINE}; echo {LINE} >&2; i=$((i+1)); done"
    started = time.monotonic()
    executed, shown, grown = flooded.run(f"%%kexec example\n{script}")
    remember("alternating", started, 2 * count * 80, shown, grown)
    assert executed.status == "ok", executed.messages[-1]
    assert shown < SHOWN
    assert grown < BUDGET + MORE
    # JupyterLab shows the last 50 items of a cell's output.
    changes = [content["name"] for kind, content in executed.messages if kind == "stream"]
    assert sum(one != other for one, other in pairwise(changes)) < 50
    expected = hashlib.sha256(f"{LINE}\n".encode() * count).hexdigest()
    for channel in ("stdout", "stderr"):
        code = f"__import__('hashlib').file_digest(_kexec.open_{channel}(), 'sha256').hexdigest()"
        assert flooded.kernel.value(code) == repr(expected)


@contextmanager
def full_after(size: int, folder: Path) -> Iterator[None]:
    """Have a disk of so many bytes in a folder; mounting one takes root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_ends_the_keeping_and_not_the_command(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, disk = 200_000_000, tmp_path / "disk"
    monkeypatch.setenv("KEXEC_SPOOL_DIR", str(disk))
    monkeypatch.setenv("KEXEC_CAPTURE_MEMORY", str(BUDGET))
    with full_after(50 * MIB, disk), kernel(place.kubeconfig, tmp_path) as found:
        flooded = Flooded(found, int(found.value("__import__('os').getpid()")))
        started = time.monotonic()
        executed, shown, grown = flooded.run(f"%%kexec example\nyes {LINE} | head -c {size}; echo done >&2; exit 3")
        remember("full disk", started, size, shown, grown)
        assert executed.only("error")["ename"] == "CommandFailed"
        assert "No space left on device; the command runs on" in executed.stream("stderr")
        assert shown < SHOWN
        assert grown < BUDGET + MORE
        assert found.value("_kexec.exit_code, _kexec.complete") == "(3, False)"
        kept, truncated = (int(found.value(f"_kexec.{what}")) for what in ("capture.size(1)", "truncated"))
        assert kept + truncated == size + len("done\n")
        assert 45 * MIB < kept < 55 * MIB
        whole = (LINE + "\n").encode() * (kept // 80 + 1)
        expected = hashlib.sha256(whole[:kept]).hexdigest()
        assert found.value("__import__('hashlib').sha256(_kexec.stdout_bytes).hexdigest()") == repr(expected)
