"""What the peers run: `true`, and a command whose every byte is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from tests.bench.measurement import Measurement

__all__ = ["LARGE", "SHELL", "SMALL", "SWEEP", "TRUE", "Load"]

_BLOCK = 50_000
_NUMBER = 8

# A block is its number, then "0 1 2 3 ..." up to 49 999 bytes, then a newline: a piece that is lost, doubled or in
# another place shows, whatever its size. busybox's awk starts in 10 ms and writes 500 MB with 0.1 s of CPU; `yes LINE`
# gives 0.2 GB/s, takes a core, and halves what is measured on a machine that runs both sides.
# `print` instead of `printf`, whose buffer is 8 kB in mawk; made number by number the filler takes 70 ms.
_PROGRAM = (
    'BEGIN { OFS = ""; '
    f'while (length(b) < {_BLOCK}) {{ s = ""; for (j = 0; j < 99; j++) s = s k++ " "; b = b s }} '
    f"b = substr(b, 1, {_BLOCK - _NUMBER - 1}); "
    f'for (i = 0; i < n; i++) print sprintf("%0{_NUMBER}d", i), b }}'
)

# What tells this benchmark's processes in a pod from any others.
_MARK = uuid4().hex

# A command outlives a client that was cut: it waits for a reader for good. `timeout` is no way out: busybox's leaves
# a zombie in the pod at every run, and keeps stdout open for up to a second.
_SWEEP = (
    "for process in /proc/[0-9]*; do "
    'case "$(tr "\\0" " " <"$process/cmdline" 2>/dev/null)" in "awk "*"$0"*) kill "${process#/proc/}";; esac; done'
)


@dataclass(frozen=True, slots=True)
class Load:
    """A command and what it has to give.

    Attributes:
        name: As the table says it.
        argv: The program and its arguments; it runs in busybox and in GNU containers.
        size: Bytes of stdout.
        sha256: Of those bytes.
    """

    name: str
    argv: tuple[str, ...]
    size: int
    sha256: str

    def missing(self, measurement: Measurement) -> int:
        """Count the bytes that did not arrive."""
        return max(self.size - measurement.count, 0)

    def is_whole(self, measurement: Measurement) -> bool:
        """Whether exactly the right bytes arrived, and the command's exit code of 0."""
        return measurement.ended and measurement.sha256 == self.sha256 and measurement.exit_code == 0


def _flood(megabytes: int) -> Load:
    blocks = megabytes * 1_000_000 // _BLOCK
    filler, numbers = "", count()
    while len(filler) < _BLOCK:
        filler += f"{next(numbers)} "
    tail = f"{filler[: _BLOCK - _NUMBER - 1]}\n".encode()
    digest = hashlib.sha256()
    for number in range(blocks):
        digest.update(b"%0*d" % (_NUMBER, number) + tail)
    argv = ("awk", "-v", f"n={blocks}", "-v", f"mark={_MARK}", _PROGRAM)
    return Load(f"{megabytes} MB", argv, blocks * _BLOCK, digest.hexdigest())


_NOTHING = hashlib.sha256().hexdigest()
TRUE = Load("`true`", ("true",), 0, _NOTHING)
SHELL = Load("`sh -c true`", ("sh", "-c", "true"), 0, _NOTHING)
SWEEP = Load("sweep", ("sh", "-c", _SWEEP, _MARK), 0, _NOTHING)
"""Ends what cut runs left in the pod."""
SMALL = _flood(20)
LARGE = _flood(500)
