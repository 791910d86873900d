"""What a run gave: both channels, how it ended, and how much of that is proved."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from html import escape
from pathlib import Path
from typing import Any

from kexec_magic.cluster.targets import Target
from kexec_magic.errors import (
    CommandFailed,
    CommandInterrupted,
    CommandNotStarted,
    ConnectionLost,
    OptionError,
    OutputError,
    RunError,
    TimedOut,
)
from kexec_magic.execution.output import Capture, CaptureReader
from kexec_magic.execution.quantities import format_seconds, format_size
from kexec_magic.wire.channels import Channel

__all__ = ["ExecResult", "Outcome", "describe_exit"]

# Lines of stderr that an error repeats; they stand above it in a notebook, but not in a scheduler's log.
_STDERR_LINES = 5

_BUFFER = 1024 * 1024

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


class Outcome(Enum):
    """How a run ended, as far as that was proved."""

    EXITED = "exited"
    """The command ended and the server proved its exit code."""
    START_FAILED = "start_failed"
    """It never ran: no such command, or a container that is not running."""
    TIMED_OUT = "timed_out"
    """The deadline passed first."""
    INTERRUPTED = "interrupted"
    """The user stopped the run first."""
    LOST = "lost"
    """The end, or its exit code, was never learned: the connection went away, or the server did not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class ExecResult:
    """The result of one run; it never changes.

    Attributes:
        target: Context, namespace, pod and container that it ran in.
        outcome: How it ended.
        exit_code: 0 to 255 where the server proved it, None where it was never learned.
        complete: Whether the end was proved, and every byte before it arrived and was kept.
        reason: Why it is not a plain success, in a few words; None for an exit code of 0.
        hint: What to do about it; None where there is nothing to advise.
        duration: Seconds from the request to the end, connecting included.
        ok_codes: The exit codes that count as success.
        still_running: Ids, in the pod, of processes that outlived the run: left behind by a command that ended, or not
            ended by a stop.
    """

    target: Target
    outcome: Outcome
    exit_code: int | None
    complete: bool
    reason: str | None
    duration: float
    hint: str | None = None
    ok_codes: tuple[int, ...] = (0,)
    still_running: tuple[int, ...] = ()
    capture: Capture = field(default_factory=Capture, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the command ended, provably, with an exit code that counts as success."""
        return self.outcome is Outcome.EXITED and self.exit_code in self.ok_codes

    @property
    def stdout_bytes(self) -> bytes:
        """All that the command wrote to stdout, byte for byte."""
        return self.capture.read(Channel.STDOUT)

    @property
    def stderr_bytes(self) -> bytes:
        """All that the command wrote to stderr, byte for byte."""
        return self.capture.read(Channel.STDERR)

    @property
    def stdout(self) -> str:
        """`stdout_bytes` as text; bytes that are no UTF-8 become U+FFFD."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """`stderr_bytes` as text; bytes that are no UTF-8 become U+FFFD."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def truncated(self) -> int:
        """How many bytes arrived and were not kept: beyond `max_capture`, or beyond what the disk took."""
        return self.capture.truncated

    def open_stdout(self) -> io.BufferedReader:
        """Give stdout as a binary file to read from its beginning, without having all of it in memory."""
        return io.BufferedReader(CaptureReader(self.capture, Channel.STDOUT), _BUFFER)

    def open_stderr(self) -> io.BufferedReader:
        """Give stderr as `open_stdout` gives stdout."""
        return io.BufferedReader(CaptureReader(self.capture, Channel.STDERR), _BUFFER)

    def lines(self) -> list[str]:
        """Give stdout as lines without their ends; only newline ends a line."""
        text = self.stdout
        return text.removesuffix("\n").split("\n") if text else []

    def json(self) -> Any:
        """Parse stdout as one JSON document.

        Raises:
            OutputError: If it is none, with the place where it stops being one; or if not all of it was kept.
        """
        self._check_kept(Channel.STDOUT)
        try:
            return json.loads(self.stdout_bytes)
        except ValueError as error:
            raise OutputError(
                f"stdout of {self.target} is not JSON: {error}", hint="its text is in .stdout, and .lines() splits it"
            ) from error

    def interleaved(self) -> Iterator[tuple[str, bytes]]:
        """Give ('stdout' or 'stderr', bytes) pairs in the order in which the server sent them, each up to 1 MiB."""
        return ((channel.name.lower(), data) for channel, data in self.capture.interleaved())

    def save(self, path: str | os.PathLike[str], *, channel: str = "stdout") -> Path:
        """Write all of a channel, byte for byte, to a file that does not exist yet, and give its path.

        Args:
            channel: 'stdout' or 'stderr'.

        Raises:
            FileExistsError: If something is there already: nothing is overwritten.
            OutputError: If not all of the channel was kept; then no file is made.
            OptionError: If there is no such channel.
        """
        if channel not in ("stdout", "stderr"):
            raise OptionError(f"there is no channel {channel!r} to save", hint="it is 'stdout' or 'stderr'")
        self._check_kept(Channel[channel.upper()])
        where = Path(path)
        with where.open("xb") as file, self.open_stdout() if channel == "stdout" else self.open_stderr() as source:
            shutil.copyfileobj(source, file, _BUFFER)
        return where

    def _check_kept(self, channel: Channel) -> None:
        dropped = self.capture.dropped(channel)
        if dropped:
            name = channel.name.lower()
            raise OutputError(
                f"{name} of {self.target} was not kept whole: {format_size(dropped)} are missing at its end "
                f"({self.capture.truncated_because})",
                hint=f"what there is: .{name}, .open_{name}()",
            )

    def check(self) -> ExecResult:
        """Give the result itself if it is `ok`.

        Raises:
            CommandFailed: Its exit code is not among `ok_codes`.
            CommandNotStarted: It never ran.
            TimedOut: The deadline passed first.
            ConnectionLost: Its end was never learned.
            CommandInterrupted: The user stopped it; a KeyboardInterrupt.
        """
        if self.ok:
            return self
        message = f"{self.reason} ({self.target}, after {format_seconds(self.duration)})"
        tail = self._last_stderr()
        if tail:
            message += "\nstderr: " + "\n        ".join(tail)
        if self.outcome is Outcome.INTERRUPTED:
            raise CommandInterrupted(message, result=self, hint=self.hint)
        raise _ERRORS[self.outcome](message, result=self, hint=self.hint)

    def _last_stderr(self) -> list[str]:
        lines = self.capture.tail(Channel.STDERR).decode("utf-8", "replace").rstrip().split("\n")
        plain = (_COLOURS.sub("", line).expandtabs(4) for line in lines[-_STDERR_LINES:] if line.strip())
        return [printable(line)[:200] for line in plain]

    def summary(self) -> str:
        """Say the result in one line, as its repr does."""
        exited = self.outcome is Outcome.EXITED
        head = f"exit code {self.exit_code}" if exited else self.outcome.value.replace("_", " ")
        out, err = self.capture.size(Channel.STDOUT), self.capture.size(Channel.STDERR)
        parts = [head, str(self.target), format_seconds(self.duration), f"stdout {format_size(out)}"]
        if err:
            parts.append(f"stderr {format_size(err)}")
        if self.truncated:
            parts.append(f"{format_size(self.truncated)} not kept")
        if self.still_running:
            parts.append(f"{len(self.still_running)} still running")
        if not self.complete and not self.truncated:
            parts.append("incomplete")
        return " · ".join(parts)

    def __repr__(self) -> str:
        return f"<ExecResult {self.summary()}>"

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        """Give one line of text and the same as static HTML, everything in it escaped."""
        colour = "#1a7f37" if self.ok else "#cf222e"
        mark = "✔" if self.ok else "✘"
        title = f' title="{escape(self.reason)}"' if self.reason else ""
        font = "font-family: var(--jp-code-font-family, monospace); font-size: 90%; padding-left: 0.5em"
        html = (
            f'<span style="{font}"{title}>'
            f'<span style="color: {colour}; font-weight: bold">{mark}</span> {escape(self.summary())}</span>'
        )
        return {"text/plain": repr(self), "text/html": html}


_ERRORS: dict[Outcome, type[RunError]] = {
    Outcome.EXITED: CommandFailed,
    Outcome.START_FAILED: CommandNotStarted,
    Outcome.TIMED_OUT: TimedOut,
    Outcome.LOST: ConnectionLost,
}


def describe_exit(exit_code: int, *, cause: str = "") -> tuple[str, str]:
    """Say what an exit code other than 0 means by the shells' convention: a reason, and a hint.

    Args:
        cause: What else is known of it, to follow the meaning.
    """
    accept = f"if that is fine here, say so with --ok 0,{exit_code} (in Python ok=(0, {exit_code}))"
    reason = f"exit code {exit_code}"
    if exit_code == 127:
        return (
            f"{reason}: the shell found no such command{cause}",
            "`command -v NAME` in a cell tells what the container has",
        )
    if exit_code == 126:
        return f"{reason}: the command cannot be executed{cause}", "`ls -l FILE` in a cell shows its permissions"
    if 128 < exit_code <= 128 + signal.NSIG - 1:
        number = exit_code - 128
        try:
            name = f" ({signal.Signals(number).name})"
        except ValueError:
            name = ""
        return f"{reason}: ended by signal {number}{name}{cause}", accept
    return f"{reason}{cause}", accept


def printable(text: str) -> str:
    """Replace control characters, which could rewrite what a terminal already shows, by a visible sign."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
