"""The supervisor's side of the wire: what is sent to have it run something, and what it says on the way.

A cell runs under a constant shell program (`supervisor.sh`) that travels on stdin together with everything it is to
run: nothing of the user is in the request's URL. In the pod it watches the connection, passes signals on, and tells
of the run in marks on stdout and stderr, which are taken out of the output here.

Pure: no socket, no clock, no thread. How the shells behave that all this rests on was found by experiment with busybox
ash 1.35, dash 0.5.12 and bash 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from kexec_magic.wire.channels import Channel
from kexec_magic.wire.marks import Stripper
from kexec_magic.wire.protocol import Output

__all__ = ["Began", "Exited", "Found", "Held", "Launch", "Mode", "NotBegun", "Orphaned", "Said", "Supervision"]

# The argv of every supervised exec: read the program, which is one line, and be it. $1 is the process that holds what
# is to be read where stdin is a terminal. The newline is here because a line cannot bring one.
_BOOT = '_newline=\'\n\'; exec 3<&0; [ ! "$1" ] || exec 3<"/proc/$1/fd/8"; IFS= read -r _line <&3; eval "$_line"'

# Shells that take a file as a script of their own; `.` leaves them their $0, and no descriptor to their children.
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})

# Instead of a number of seconds: the run goes on, whatever becomes of the client.
_NEVER = -1


class Mode(Enum):
    """How a run is fed and watched."""

    RUN = "run"
    """Its stdin is empty: the exec's own stdin carries control lines to a watcher beside it."""
    FED = "fed"
    """Its stdin is the exec's, ended by a half-close (v5); another exec watches over it."""
    COUNTED = "counted"
    """Its stdin is the exec's, in counted pieces, since v4 cannot end it; another exec watches over it."""
    TTY = "tty"
    """Its stdin is a terminal; another exec holds what it is to read, and watches over it."""
    HOLD = "hold"
    """Not a run: the exec that watches over another one."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What is to be run in the container.

    Attributes:
        script: Text for `interpreter`; exactly one of it and `argv` is given.
        argv: A program and its arguments, to the letter.
        interpreter: The words that start what reads the script.
        args: What the script finds as "$1", "$2", ...
        environment: Variables to set, in this order.
        folder: Where to run it; None for the container's own working directory.
    """

    script: str | None = None
    argv: tuple[str, ...] | None = None
    interpreter: tuple[str, ...] = ("sh",)
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """The leader is about to become the command; these are process ids in the pod."""

    main: int
    runner: int
    leader: int


@dataclass(frozen=True, slots=True)
class NotBegun:
    """The leader could not become the command: `lack` is 'program', 'folder' or 'dd'."""

    lack: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The leader has ended, and on both channels everything that it wrote before has been given.

    `oom_kills` is how often the kernel killed in the container for want of memory meanwhile, by the count of its cgroup
    (oom_kill in memory.events of v2, memory.oom_control of v1); None where that cannot be read.
    """

    exit_code: int
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The processes of the run that were alive at a look, by their ids in the pod."""

    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The other exec is ready to watch; `pid` holds what a terminal's exec is to read."""

    pid: int


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The client was not heard of for too long: the run is being ended in the pod."""


Said = Began | NotBegun | Exited | Found | Held | Orphaned


class Supervision:
    """One supervised run: the bytes to send for it, and the marks in what comes back.

    Args:
        nonce: Text that nobody can guess, for the marks; it never reaches the script.
        mark: Other such text, put into the script's environment as KEXEC_RUN to find its processes by.
        orphan_after: Whole seconds without a heartbeat after which the run is ended; None keeps it running whatever
            becomes of the client.
        channels: The channels whose end has to be marked.
    """

    def __init__(
        self,
        nonce: str,
        mark: str,
        *,
        orphan_after: int | None,
        channels: Sequence[Channel] = (Channel.STDOUT, Channel.STDERR),
    ) -> None:
        self._nonce, self._mark = nonce, mark
        self._orphan_after = _NEVER if orphan_after is None else orphan_after
        self._strippers = {channel: Stripper(nonce.encode()) for channel in channels}
        self._ends: set[Channel] = set()
        self.began: Began | None = None

    @staticmethod
    def argv(holder: int | None = None) -> tuple[str, ...]:
        """Give the argv of the exec; `holder` where its stdin is a terminal."""
        return ("sh", "-c", _BOOT) if holder is None else ("sh", "-c", _BOOT, "sh", str(holder))

    def beside(self) -> Supervision:
        """Give what understands the marks of another exec for the same run."""
        return Supervision(self._nonce, self._mark, orphan_after=None)

    # What is sent --------------------------------------------------------------------------------------------------

    def opening(self, mode: Mode, launch: Launch) -> bytes:
        """Give what has to be sent first. In mode RUN it starts the command; else `go` does."""
        script = b"" if launch.script is None else _closing(launch) + _encoded(launch.script)
        prologue = self._prologue(launch)
        text = self._program(mode, self._orphan_after, prologue, script) + prologue + b"\n" + script + b"\n"
        return text + b"go\n" if mode is Mode.RUN else text

    def holding(self, held: bytes = b"", *, ends: bool = True) -> bytes:
        """Give what has to be sent first on the exec that watches over another.

        Args:
            held: What that other one reads.
            ends: Whether the run is to be ended when the client is gone; False only looks.
        """
        orphan_after = self._orphan_after if ends else _NEVER
        return self._program(Mode.HOLD, orphan_after, held) + held + b"\n"

    def control(self, word: str) -> bytes:
        """Give a control line: 'beat', 'look', 'bye', or the name of a signal."""
        began = self.began
        known = "" if began is None else f" {began.main} {began.runner} {began.leader}"
        return f"{word}{known}\n".encode()

    def _program(self, mode: Mode, orphan_after: int, *texts: bytes) -> bytes:
        """Give the program and its first line, which says how long the texts are that follow, each with a newline."""
        sizes = [size for text in texts for size in (len(text) + 1, text.count(b"\n") + 1)]
        words = (mode.value, self._nonce, self._mark, orphan_after, *sizes)
        return _PROGRAM + b"\n" + " ".join(map(str, words)).encode() + b"\n"

    def _prologue(self, launch: Launch) -> bytes:
        """Give the shell text by which the leader becomes the command."""
        if launch.argv is not None:
            words: tuple[str, ...] = launch.argv
        elif _is_shell(launch.interpreter):
            words = (*launch.interpreter, "-c", ". /proc/self/fd/8", "cell", *launch.args)
        else:
            words = (*launch.interpreter, "/proc/self/fd/8", *launch.args)
        program = _quoted(words[0])
        lines = [
            b'if command -v setsid >/dev/null && [ ! "$_terminal" ]; then set -- setsid; else set --; fi',
            b'set -- "$@" ' + b" ".join(map(_quoted, words)),
        ]
        if launch.folder is not None:
            lines.append(b"CDPATH= cd -- " + _quoted(launch.folder) + b" || { _tell lacks folder >&2; exit 126; }")
        environment = {**launch.environment, "KEXEC_RUN": self._mark}
        lines += [b"export " + name.encode() + b"=" + _quoted(value) for name, value in environment.items()]
        lines.append(b"command -v " + program + b" >/dev/null || { _tell lacks program >&2; exit 127; }")
        lines.append(b'exec "$@"' if launch.argv is None else b'exec "$@" 8<&-')
        return b"\n".join(lines)

    # What comes back -----------------------------------------------------------------------------------------------

    def receive(self, output: Output) -> list[Output | Said]:
        """Take the marks out of a piece of output: give the output without them, and what they say, in order."""
        stripper = self._strippers[output.channel]
        if stripper.passes(output.data):
            return [output]
        given: list[Output | Said] = []
        for piece in stripper.strip(output.data):
            if isinstance(piece, bytes):
                given.append(Output(output.channel, piece))
            else:
                given += self._understood(output.channel, piece)
        return given

    def rest(self) -> list[Output]:
        """Give what was held back as the possible beginning of a mark; after it nothing more may come."""
        rests = ((channel, stripper.rest()) for channel, stripper in self._strippers.items())
        return [Output(channel, data) for channel, data in rests if data]

    def _understood(self, channel: Channel, words: list[str]) -> list[Said]:
        match words:
            case ["at", main, runner, leader]:
                self.began = Began(int(main), int(runner), int(leader))
                return [self.began]
            case ["end", code, *kills]:
                self._ends.add(channel)
                # Whichever channel is last: only then has all output arrived.
                is_last = len(self._ends) == len(self._strippers)
                return [Exited(int(code), int(kills[0]) if kills else None)] if is_last else []
            case ["left", *pids]:
                return [Found(tuple(map(int, pids)))]
            case ["hold", pid]:
                return [Held(int(pid))]
            case ["lacks", what]:
                return [NotBegun(what)]
            case ["orphaned"]:
                return [Orphaned()]
        return []


def _is_shell(interpreter: Sequence[str]) -> bool:
    return interpreter[0].rpartition("/")[2] in _SHELLS


def _closing(launch: Launch) -> bytes:
    """Close the script's descriptor on its own first line: by then `.` has one of its own, and lines keep numbers."""
    return b"exec 8<&-;" if _is_shell(launch.interpreter) else b""


def _quoted(text: str) -> bytes:
    return b"'" + _encoded(text).replace(b"'", b"'\\''") + b"'"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _read_program() -> bytes:
    text = Path(__file__).with_name("supervisor.sh").read_text("ascii")
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("#")).encode()


_PROGRAM = _read_program()
