"""What somebody wants to have run, before anything is done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kexec_magic.errors import OptionError
from kexec_magic.wire.channels import Channel

if TYPE_CHECKING:
    from kexec_magic.execution.result import ExecResult

__all__ = ["Policy", "Request"]

# One element of argv may hold 128 KiB (Linux MAX_ARG_STRLEN); beyond it nothing starts on the node.
_MAX_ARGUMENT = 128 * 1024 - 1

# Servers refuse a request line and headers of 1 MiB (apiserver secure_serving.go); encoding can triple a byte.
_MAX_ARGV = 300 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run: where, what, with what input, and what counts as success.

    Attributes:
        target: A pod's name (or `pod/NAME`); exactly one of it and `selector` is given.
        selector: A label selector that has to match exactly one pod.
        namespace: None for the context's own.
        container: None for the pod's default one.
        script: Text for the container's `sh`; exactly one of it and `argv` is given.
        argv: A program and its arguments, run to the letter without a shell.
        args: What the script sees as `"$1"`, `"$2"`, ...
        stdin: What the command reads; None and b"" give it an empty stdin.
        timeout: Seconds for the whole run, connecting included; None for no limit.
        ok: The exit codes that count as success.

    Raises:
        OptionError: If these contradict each other or cannot be sent.
    """

    target: str | None = None
    selector: str | None = None
    namespace: str | None = None
    container: str | None = None
    script: str | None = None
    argv: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    stdin: bytes | None = field(default=None, repr=False)
    timeout: float | None = None
    ok: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if (self.target is None) == (self.selector is None):
            raise OptionError(
                "a run needs a pod's name or a selector, and not both",
                hint="for example `%%kexec web-0`, or `%%kexec -l app=web`",
            )
        if (self.script is None) == (self.argv is None):
            raise OptionError("a run needs a script or argv, and not both", hint="pass one of the two")
        if self.argv is not None and not self.argv:
            raise OptionError("argv is empty", hint="name a program after `--`, as in `%kexec web-0 -- ls -l /`")
        if self.argv is not None and self.args:
            raise OptionError("args belong to a script; argv has its own", hint="put them into argv")
        if self.timeout is not None and not self.timeout > 0:
            raise OptionError(f"a timeout of {self.timeout} s is over before it began", hint="give more than 0 seconds")
        if not self.ok or any(not 0 <= code <= 255 for code in self.ok):
            raise OptionError(f"ok={self.ok} holds no exit codes", hint="exit codes are 0 to 255, as in --ok 0,1")
        self._check_sizes()

    def _check_sizes(self) -> None:
        words = self.command
        encoded = []
        for word in words:
            if "\0" in word:
                raise OptionError("a command cannot hold a NUL character", hint="send binary data as its stdin")
            encoded.append(len(word.encode("utf-8", "surrogateescape")))
        if max(encoded) > _MAX_ARGUMENT or sum(encoded) > _MAX_ARGV:
            raise OptionError(
                f"the command is {sum(encoded)} bytes long; one argument may have {_MAX_ARGUMENT}, all {_MAX_ARGV}",
                hint="send the long part as stdin: `%%kexec POD -- sh` runs the cell from there",
            )

    @property
    def command(self) -> tuple[str, ...]:
        """The argv that this comes to in the container."""
        if self.argv is not None:
            return self.argv
        # The word after the script is its $0, which shells put before their own error messages.
        return ("sh", "-c", self.script or "", "sh", *self.args)


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
