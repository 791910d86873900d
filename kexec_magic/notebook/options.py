"""From a magic's line to frozen options. Quotes are read as a POSIX shell reads them, and nothing is expanded."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import NoReturn

from kexec_magic.errors import OptionError
from kexec_magic.execution.quantities import parse_size

__all__ = ["CellOptions", "UseOptions", "cell_help", "parse_cell_line", "parse_duration", "parse_use_line", "use_help"]


@dataclass(frozen=True, slots=True)
class UseOptions:
    """What `%kuse` sets; None leaves a default as it is, '' clears it."""

    context: str | None = None
    namespace: str | None = None
    container: str | None = None
    kubeconfig: str | None = None
    timeout: str | None = None
    help: bool = False


@dataclass(frozen=True, slots=True)
class CellOptions:
    """One line of `%%kexec` or `%kexec`.

    `argv` is what follows `--`, None without it. `stdin` and `args` are expressions; `env` holds NAME or NAME=VALUE.
    """

    target: str | None = None
    argv: tuple[str, ...] | None = None
    selector: str | None = None
    namespace: str | None = None
    container: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    shell: str = "sh"
    stdin: str | None = None
    env: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    cwd: str | None = None
    tty: bool = False
    direct: bool = False
    timeout: float | None = None
    keep_running: bool = False
    orphan_after: float = 120.0
    out: str | None = None
    ok: tuple[int, ...] = (0,)
    max_capture: int | None = None
    raise_error: bool = True
    quiet: bool = False
    dry_run: bool = False
    verbose: bool = False
    help: bool = False


def parse_cell_line(line: str) -> CellOptions:
    """Parse the line of `%%kexec` or `%kexec`.

    Raises:
        OptionError: If an option is unknown, lacks its value, or has one that cannot be meant.
    """
    words = _split(line)
    argv: tuple[str, ...] | None = None
    if "--" in words:
        cut = words.index("--")
        words, argv = words[:cut], tuple(words[cut + 1 :])
    found, rest = _CELL.parse_known_args(words)
    if rest:
        _refuse(_CELL, rest, found.target)
    if found.out is not None and (not found.out.isidentifier() or iskeyword(found.out)):
        raise OptionError(f"--out {found.out!r} is not a name that Python allows", hint="for example --out result")
    return CellOptions(
        target=found.target,
        argv=argv,
        selector=found.selector,
        namespace=found.namespace,
        container=found.container,
        context=found.context,
        kubeconfig=found.kubeconfig,
        shell=found.shell,
        stdin=found.stdin,
        env=tuple(found.env),
        args=tuple(found.arg),
        cwd=found.cwd,
        tty=found.tty,
        direct=found.direct,
        timeout=None if found.timeout is None else parse_duration(found.timeout),
        keep_running=found.keep_running,
        orphan_after=parse_duration(found.orphan_after),
        out=found.out,
        ok=_exit_codes(found.ok),
        max_capture=None if found.max_capture is None else parse_size(found.max_capture),
        raise_error=found.raise_error,
        quiet=found.quiet,
        dry_run=found.dry_run,
        verbose=found.verbose,
        help=found.help,
    )


def parse_use_line(line: str) -> UseOptions:
    """Parse the line of `%kuse`.

    Raises:
        OptionError: If an option is unknown, lacks its value, or has one that cannot be meant.
    """
    found, rest = _USE.parse_known_args(_split(line))
    if rest:
        _refuse(_USE, rest, found.context)
    if found.timeout:
        parse_duration(found.timeout)
    return UseOptions(**vars(found))


def parse_duration(text: str) -> float:
    """Give seconds for '30', '30s', '1m30s', '2h' or '500ms'.

    Raises:
        OptionError: If the text is none of that, or zero.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise OptionError(f"{text!r} is not a duration", hint="write 30s, 1m30s, 2h or 500ms; a bare number is seconds")
    bare, hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    total = bare + hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    if total <= 0:
        raise OptionError(f"a timeout of {text} is over before it began", hint="give more than 0 seconds")
    return total


def cell_help() -> str:
    """Give the help text of `%%kexec` and `%kexec`."""
    return _CELL.format_help()


def use_help() -> str:
    """Give the help text of `%kuse`."""
    return _USE.format_help()


_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)|(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?)",
)


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises our error, expands no abbreviation and ends no process."""

    def __init__(self, *, prog: str, usage: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            usage=usage.replace("%", "%%"),  # argparse formats it
            description=description,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of writing to stderr and exiting."""
        raise OptionError(f"{self.prog}: {message}", hint=f"`{self.prog.replace('%%', '%')} -h` lists the options")

    def long_options(self) -> list[str]:
        """Give every option string, for suggestions."""
        return [option for action in self._actions for option in action.option_strings]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise OptionError(
            f"the line's quotes do not match: {str(error).lower()}",
            hint="close them, or escape a lone one as \\' or \\\"",
        ) from error


def _refuse(parser: _Parser, rest: Sequence[str], target: str | None) -> NoReturn:
    unknown = next((word for word in rest if word.startswith("-")), None)
    if unknown is None or (target and not rest[0].startswith("-")):
        command = shlex.join(rest)
        raise OptionError(
            f"{parser.prog} takes one target, and got {rest[0]!r} after {target!r}",
            hint=f"a command goes after `--`, as in `%kexec {target} -- {command}`",
        )
    close = difflib.get_close_matches(unknown.split("=")[0], parser.long_options(), n=1, cutoff=0.5)
    advice = f"did you mean {close[0]}? " if close else ""
    raise OptionError(
        f"{parser.prog} has no option {unknown}", hint=f"{advice}`{parser.prog.replace('%%', '%')} -h` lists them"
    )


def _exit_codes(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(re.fullmatch(r"\s*\d{1,3}\s*", word) and int(word) <= 255 for word in words):
        raise OptionError(f"--ok {text!r} is not a list of exit codes", hint="write --ok 0,1 with codes from 0 to 255")
    return tuple(int(word) for word in words)


def _add_place(parser: _Parser) -> None:
    parser.add_argument("-n", "--namespace", metavar="NS", help="namespace (default: the context's)")
    parser.add_argument("-c", "--container", metavar="NAME", help="container (default: the pod's default one)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file (default: $KUBECONFIG, ~/.kube/config)")
    parser.add_argument("--timeout", metavar="TIME", help="for the whole run, as 30s, 5m or 1h30m (default: none)")
    parser.add_argument("-h", "--help", action="store_true", help="show this help")


def _cell_parser() -> _Parser:
    parser = _Parser(
        prog="%%kexec",
        usage="%%kexec [options] TARGET [-- COMMAND ...]",
        description="Run the cell in a pod. Without `--` the cell is a script for the container's sh; after `--`\n"
        "comes a program with its arguments, to the letter, and the cell is its input.\n"
        "`%kexec TARGET -- COMMAND ...` is the same on one line; `r = %kexec ...` keeps the result.",
        epilog="Nothing in the line or the cell is expanded by IPython: $x and {x} reach the pod as they stand.\n"
        "The last result is `_kexec`, failed or not.",
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help="a pod, as web-0 or pod/web-0")
    parser.add_argument("-l", "--selector", metavar="SELECTOR", help="a label selector that matches exactly one pod")
    parser.add_argument(
        "--context", metavar="NAME", help="kubeconfig context (default: %%kuse's, then the current one)"
    )
    _add_place(parser)
    parser.add_argument(
        "--shell", metavar="NAME", default="sh", help="what reads the cell: bash, python3, 'bash -e' (default: sh)"
    )
    parser.add_argument(
        "--stdin", metavar="EXPR", help="input: str, bytes, Path, open file, DataFrame (default: empty)"
    )
    parser.add_argument(
        "--env", metavar="NAME[=VALUE]", action="append", default=[], help="a variable; alone, the notebook's"
    )
    parser.add_argument(
        "--arg", metavar="EXPR", action="append", default=[], help='what the cell sees as "$1", "$2", …'
    )
    parser.add_argument("--cwd", metavar="DIR", help="the folder to run in (default: the container's own)")
    parser.add_argument("-t", "--tty", action="store_true", help="run on a terminal; stderr then arrives on stdout")
    parser.add_argument(
        "--direct", action="store_true", help="no supervisor: a bare exec, which a stop only disconnects"
    )
    parser.add_argument(
        "--keep-running", action="store_true", help="leave it running when the connection or the kernel is gone"
    )
    parser.add_argument(
        "--orphan-after",
        metavar="TIME",
        default="2m",
        help="end it when this kernel is not heard of for so long (default: 2m)",
    )
    parser.add_argument("--out", "-o", metavar="NAME", help="keep the result under this name, failed or not")
    parser.add_argument("--ok", metavar="CODES", default="0", help="exit codes that are a success, as 0,1 (default: 0)")
    parser.add_argument(
        "--max-capture", metavar="SIZE", help="how much output to keep, as 500kB, 64MB or 2GiB (default: all of it)"
    )
    parser.add_argument(
        "--no-raise-error", dest="raise_error", action="store_false", help="let the cell succeed when the command fails"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="show nothing; the result has it all")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and do not send it")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the requests, credentials masked")
    return parser


def _use_parser() -> _Parser:
    parser = _Parser(
        prog="%kuse",
        usage="%kuse [CONTEXT] [options]",
        description="Set defaults for the cells that follow; alone, show them. An empty value ('') clears one.",
        epilog="",
    )
    parser.add_argument("context", metavar="CONTEXT", nargs="?", help="kubeconfig context")
    _add_place(parser)
    return parser


_CELL = _cell_parser()
_USE = _use_parser()
