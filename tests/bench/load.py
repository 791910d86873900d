"""What the peers run: `true`, and a command whose every byte is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count

from tests.bench.measurement import Measurement

__all__ = ["LARGE", "SMALL", "TRUE", "Load"]

_BLOCK = 50_000
_NUMBER = 8

# A block is its number, then "0 1 2 3 ..." up to 49 999 bytes, then a newline: a piece that is lost, doubled or in
# another place shows, whatever its size. busybox's awk writes it with hardly any CPU (500 MB: 0.1 s), while `yes LINE`
# gives 0.2 GB/s, takes a core, and halves what is measured on a machine that runs both sides.
# `timeout`, because a command outlives a client that was cut: it would wait in the pod for a reader for good.
# `print` instead of `printf`, whose buffer is 8 kB in mawk.
_PROGRAM = (
    f'BEGIN {{ for (k = 0; length(b) < {_BLOCK}; k++) b = b k " "; b = substr(b, 1, {_BLOCK - _NUMBER - 1}); '
    f'for (i = 0; i < n; i++) print sprintf("%0{_NUMBER}d", i) b }}'
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
    argv = ("timeout", "150", "awk", "-v", f"n={blocks}", _PROGRAM)
    return Load(f"{megabytes} MB", argv, blocks * _BLOCK, digest.hexdigest())


TRUE = Load("`true`", ("true",), 0, hashlib.sha256().hexdigest())
SMALL = _flood(20)
LARGE = _flood(500)
