"""What somebody wants to have run, before anything is done about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kexec_magic.errors import OptionError
from kexec_magic.execution.ladder import Ladder
from kexec_magic.execution.stdin import Stdin
from kexec_magic.wire.channels import Channel
from kexec_magic.wire.supervisor import Launch

if TYPE_CHECKING:
    from kexec_magic.execution.result import ExecResult

__all__ = ["Policy", "Request", "as_words"]

# One argument or variable of a program may hold 128 KiB, its name and end included (Linux MAX_ARG_STRLEN).
_MAX_WORD = 128 * 1024 - 1

# The URL of an exec without a supervisor: servers refuse a request line and headers of 1 MiB (apiserver
# secure_serving.go), and encoding can triple a byte.
_MAX_DIRECT = 300 * 1024

# A hundred days; clocks and sleeps of some systems end soon after.
MAX_SECONDS = 100 * 24 * 3600

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run: where, what, with what input, and what counts as success.

    Attributes:
        target: A pod's name (or `pod/NAME`); exactly one of it and `selector` is given.
        selector: A label selector that has to match exactly one pod.
        namespace: None for the context's own.
        container: None for the pod's default one.
        script: Text for `shell`; exactly one of it and `argv` is given.
        argv: A program and its arguments, run to the letter without a shell.
        args: What the script sees as `"$1"`, `"$2"`, ...
        shell: The words that start what reads the script: ("sh",), ("bash", "-e"), ("python3",).
        env: Variables for the command.
        cwd: The folder to run in; None for the container's own.
        stdin: What the command reads; None and b"" give it an empty stdin.
        tty: Whether to run on a terminal, where stderr arrives on stdout.
        direct: Whether to run argv without a supervisor: then a stop cannot be confirmed.
        keep_running: Whether the command goes on when the client is gone.
        orphan_after: Seconds without a sign of life of the client after which the run is ended in the pod.
        ladder: The times of a stop.
        timeout: Seconds for the whole run, connecting included; None for no limit.
        ok: The exit codes that count as success.
        max_capture: Bytes of output to keep, both channels together; None for all.

    Raises:
        OptionError: If these contradict each other or cannot be sent.
    """

    target: str | None = None
    selector: str | None = None
    namespace: str | None = None
    container: str | None = None
    script: str | None = field(default=None, repr=False)
    argv: tuple[str, ...] | None = field(default=None, repr=False)
    args: tuple[str, ...] = field(default=(), repr=False)
    shell: tuple[str, ...] = ("sh",)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    stdin: Stdin | None = field(default=None, repr=False)
    tty: bool = False
    direct: bool = False
    keep_running: bool = False
    orphan_after: float = 120.0
    ladder: Ladder = field(default_factory=Ladder)
    timeout: float | None = None
    ok: tuple[int, ...] = (0,)
    max_capture: int | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.selector is None):
            raise OptionError(
                "a run needs a pod's name or a selector, and not both",
                hint="for example `%%kexec web-0`, or `%%kexec -l app=web`",
            )
        if self.selector is not None and not self.selector.strip():
            raise OptionError("the selector is empty, and would match every pod", hint="for example -l app=web")
        if (self.script is None) == (self.argv is None):
            raise OptionError("a run needs a script or argv, and not both", hint="pass one of the two")
        if self.argv is not None and not self.argv:
            raise OptionError("argv is empty", hint="name a program after `--`, as in `%kexec web-0 -- ls -l /`")
        if self.argv is not None and self.args:
            raise OptionError("args belong to a script; argv has its own", hint="put them into argv")
        if not self.shell:
            raise OptionError("shell is empty", hint="name what reads the script, as in --shell bash")
        if self.timeout is not None and not 0 < self.timeout <= MAX_SECONDS:
            raise OptionError(
                f"a timeout of {self.timeout} s is none", hint=f"give more than 0 seconds, and {MAX_SECONDS} at most"
            )
        if not 1 <= self.orphan_after <= MAX_SECONDS:
            raise OptionError(
                f"an orphan-after of {self.orphan_after} s is none",
                hint=f"give 1 to {MAX_SECONDS} s, or --keep-running",
            )
        if not self.ok or any(not 0 <= code <= 255 for code in self.ok):
            raise OptionError(f"ok={self.ok} holds no exit codes", hint="exit codes are 0 to 255, as in --ok 0,1")
        if self.max_capture is not None and self.max_capture < 0:
            raise OptionError(f"a max-capture of {self.max_capture} bytes is none", hint="give 0 bytes or more")
        self._check_words()
        if self.direct:
            self._check_direct()

    def _check_words(self) -> None:
        for name in self.env:
            if not _VARIABLE.match(name):
                raise OptionError(
                    f"{name!r} is not a name that shells allow for a variable",
                    hint="use letters, digits and _, no digit first",
                )
        words = {
            "the script": (self.script or "", None),
            "the folder": (self.cwd or "", _MAX_WORD),
            **{f"argument {number}": (word, _MAX_WORD) for number, word in enumerate(self.argv or self.args, 1)},
            **{f"the variable {name}": (f"{name}={value}", _MAX_WORD) for name, value in self.env.items()},
        }
        for what, (text, limit) in words.items():
            if "\0" in text:
                raise OptionError(f"{what} holds a NUL character", hint="send binary data as input: --stdin EXPR")
            size = len(text.encode("utf-8", "surrogateescape"))
            if limit is not None and size > limit:
                raise OptionError(
                    f"{what} is {size} bytes long, and no program can be given more than {limit}",
                    hint="send it as input: --stdin EXPR (in Python stdin=)",
                )

    def _check_direct(self) -> None:
        if self.argv is None:
            raise OptionError(
                "a script needs a shell, and direct runs have none",
                hint="name a program after `--`, or leave out --direct",
            )
        given = {"--env": self.env, "--cwd": self.cwd, "--keep-running": self.keep_running}
        refused = [name for name, value in given.items() if value]
        if refused:
            raise OptionError(
                f"{refused[0]} is the supervisor's work, and direct runs have none", hint="leave out --direct"
            )
        size = sum(len(word.encode("utf-8", "surrogateescape")) for word in self.argv)
        if size > _MAX_DIRECT:
            raise OptionError(
                f"the command is {size} bytes long, and its URL may take {_MAX_DIRECT}",
                hint="leave out --direct, or send the long part as input: --stdin EXPR",
            )

    @property
    def launch(self) -> Launch:
        """What the supervisor is to run."""
        return Launch(
            script=self.script,
            argv=self.argv,
            interpreter=self.shell,
            args=self.args,
            environment=self.env,
            folder=self.cwd,
        )


def as_words(shell: str | Sequence[str]) -> tuple[str, ...]:
    """Give the words of what reads a script, a text being read as a POSIX shell reads it.

    Raises:
        OptionError: If its quotes do not match.
    """
    if not isinstance(shell, str):
        return tuple(shell)
    try:
        return tuple(shlex.split(shell))
    except ValueError as error:
        raise OptionError(f"the quotes of the shell {shell!r} do not match", hint="close them") from error


class Policy(Protocol):
    """Something that has a say in every run: a guard, a redaction, a journal.

    All of its calls come from the thread that runs the cell.
    """

    def before(self, request: Request) -> None:
        """Look at a request before anything is sent; raise a KexecError to refuse it."""

    def filter(self, channel: Channel, data: bytes) -> bytes:
        """Give the bytes that take the place of those that arrived, for the result and the screen alike."""

    def after(self, request: Request, result: ExecResult) -> None:
        """Look at the result before the caller gets it."""
