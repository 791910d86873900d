"""What people run that is hard to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.stop.pods import Kind

__all__ = ["CELLS", "READY", "Cell"]

READY = b"ready\n"
"""All that a cell writes to stdout; by then everything of it runs."""

_UNREAD = 10_000_000


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        name: What it does.
        pod: Where it runs.
        script: What it runs.
        code: Its exit code after a ladder of INT, TERM and KILL.
        old_server: Whether it is one for a server that only speaks v4 (a real cluster speaks what it speaks).
        options: Further arguments of a run; a function is called for its value.
    """

    name: str
    pod: Kind
    script: str
    code: int
    old_server: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of a run of it but its pod."""
        made = {name: value() if isinstance(value, Callable) else value for name, value in self.options.items()}  # type: ignore[arg-type]
        return {"script": self.script, **made}

    @property
    def output(self) -> bytes:
        """What it writes; a terminal begins a new line with two characters."""
        return READY.replace(b"\n", b"\r\n") if self.options.get("tty") else READY


def _unread() -> bytes:
    return bytes(_UNREAD)


CELLS = {
    cell.name: cell
    for cell in (
        Cell("sleeping", "ash", "echo ready; sleep 300; echo never", 130),
        Cell("busy", "ash", "echo ready; while :; do :; done", 130),
        Cell("ignores-int", "ash", "trap '' INT; echo ready; while :; do sleep 300; done", 143),
        Cell("ignores-term", "ash", "trap '' INT TERM; echo ready; while :; do sleep 300; done", 137),
        Cell("background", "ash", "sleep 300 & echo ready; sleep 301", 130),
        Cell("pipeline", "ash", "(echo ready; sleep 300) | cat | cat", 130),
        Cell(
            "python",
            "tools",
            "import time\nprint('ready', flush=True)\ntime.sleep(300)",
            130,
            options={"shell": "python3"},
        ),
        Cell("own-group", "tools", "set -m; sleep 300 & echo ready; wait", 130, options={"shell": "bash"}),
        Cell("own-session", "ash", "setsid sleep 300 & echo ready; wait", 130),
        Cell("unread-input", "ash", "echo ready; sleep 300", 130, options={"stdin": _unread}),
        Cell("unread-input-v4", "ash", "echo ready; sleep 300", 130, old_server=True, options={"stdin": _unread}),
        Cell("terminal", "ash", "echo ready; sleep 300", 130, options={"tty": True}),
        Cell(
            "terminal-ignores-term",
            "ash",
            "trap '' INT TERM; echo ready; while :; do sleep 300; done",
            137,
            options={"tty": True},
        ),
    )
}
