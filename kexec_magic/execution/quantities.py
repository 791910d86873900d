"""Spans of time and sizes, as people write and read them."""

from __future__ import annotations

import re

from kexec_magic.errors import OptionError

__all__ = ["format_seconds", "format_size", "parse_size"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?))?B?\Z", re.IGNORECASE)


def format_seconds(seconds: float) -> str:
    """Give a span with the digits that matter: 45 ms, 1.2 s, 3 min 5 s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def format_size(count: int) -> str:
    """Give a number of bytes with the digits that matter, in powers of ten: 12 B, 3.4 kB, 20.0 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def parse_size(text: str) -> int:
    """Read a number of bytes: 500, 64kB, 1.5MB, 2GiB.

    Raises:
        OptionError: If it is none.
    """
    found = _SIZE.match(text.strip())
    if found is None:
        raise OptionError(f"{text!r} is no size", hint="write bytes, or a unit as in 500kB, 64MB, 2GiB")
    power = " KMGT".index((found[2] or " ").upper())
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)
