"""A magic's line: POSIX quotes, no expansion, and a clear refusal of what cannot be meant."""

from __future__ import annotations

import contextlib
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.errors import OptionError
from kexec_magic.notebook.options import (
    CellOptions,
    UseOptions,
    cell_help,
    parse_cell_line,
    parse_duration,
    parse_use_line,
)


def test_a_line_with_everything() -> None:
    line = (
        "-n shop -c app -l 'app in (a, b)' --context prod --kubeconfig \"my file\" --out r --no-raise-error"
        " --ok 0,1 --quiet --timeout 1m30s --dry-run -v --shell 'bash -e' --stdin rows --env A --env 'B=c d' --arg x+1"
        " --cwd /data -t --direct --keep-running --orphan-after 5m --max-capture 1.5MiB"
    )
    assert parse_cell_line(line) == CellOptions(
        namespace="shop",
        container="app",
        selector="app in (a, b)",
        context="prod",
        kubeconfig="my file",
        out="r",
        raise_error=False,
        ok=(0, 1),
        quiet=True,
        timeout=90.0,
        shell="bash -e",
        stdin="rows",
        env=("A", "B=c d"),
        args=("x+1",),
        cwd="/data",
        tty=True,
        direct=True,
        keep_running=True,
        orphan_after=300.0,
        max_capture=1_572_864,
        dry_run=True,
        verbose=True,
    )


def test_options_may_follow_the_target() -> None:
    assert parse_cell_line("web-0 -n shop") == CellOptions(target="web-0", namespace="shop")


def test_all_after_the_dashes_is_the_command_to_the_letter() -> None:
    options = parse_cell_line("web-0 -- ls -l '$HOME' {x} -- --out")
    assert options.argv == ("ls", "-l", "$HOME", "{x}", "--", "--out")


def test_quotes_are_read_as_a_shell_reads_them() -> None:
    assert parse_cell_line("""p -- 'a b' "c \\"d" e\\ f ''""").argv == ("a b", 'c "d', "e f", "")


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_words_that_a_shell_would_quote_come_back(words: list[str]) -> None:
    assert parse_cell_line("p -- " + shlex.join(words)).argv == tuple(words)


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("p --namspace x", "--namespace"),
        ("p --no-raise", "--no-raise-error"),
        ("p --dryrun", "--dry-run"),
        ("p --contxt=x", "--context"),
    ],
)
def test_an_unknown_option_is_refused_with_the_closest_one(line: str, suggestion: str) -> None:
    with pytest.raises(OptionError, match="no option") as caught:
        parse_cell_line(line)
    assert f"did you mean {suggestion}?" in str(caught.value)


def test_an_abbreviation_is_not_taken_for_an_option() -> None:
    with pytest.raises(OptionError, match="no option --time"):
        parse_cell_line("p --time 3")


def test_a_command_without_the_dashes_is_refused_with_the_line_that_was_meant() -> None:
    with pytest.raises(OptionError, match="takes one target") as caught:
        parse_cell_line("web-0 ls 'a b'")
    assert "%kexec web-0 -- ls 'a b'" in str(caught.value)


@pytest.mark.parametrize("line", ["p 'open", 'p "open', "p \\"])
def test_quotes_that_do_not_match_are_refused(line: str) -> None:
    with pytest.raises(OptionError, match="quotes do not match"):
        parse_cell_line(line)


@pytest.mark.parametrize("line", ["p -n", "p --timeout", "p --out"])
def test_an_option_without_its_value_is_refused(line: str) -> None:
    with pytest.raises(OptionError, match="expected one argument"):
        parse_cell_line(line)


@pytest.mark.parametrize("codes", ["x", "0,", "256", "-1", "0;1", "1.0", ""])
def test_exit_codes_that_are_none_are_refused(codes: str) -> None:
    with pytest.raises(OptionError, match="ok"):
        parse_cell_line(f"p --ok='{codes}'")


@pytest.mark.parametrize("name", ["my-result", "class", "1st"])
def test_a_name_that_python_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="not a name"):
        parse_cell_line(f"p --out {name}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0.5", 0.5), ("30s", 30), ("1.5s", 1.5), ("5m", 300), ("1h30m", 5400), ("2h", 7200), ("500ms", 0.5)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "x", "1d", "5 m", "1s1m", "s", "1e3", "inf", "nan"])
def test_a_duration_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_duration(text)


@given(st.text(max_size=60))
def test_any_line_is_options_or_an_option_error(line: str) -> None:
    for parse in (parse_cell_line, parse_use_line):
        with contextlib.suppress(OptionError):
            parse(line)


def test_kuse_takes_a_context_and_defaults() -> None:
    assert parse_use_line("prod -n shop --timeout 30s") == UseOptions("prod", "shop", timeout="30s")
    assert parse_use_line("-c ''") == UseOptions(container="")


def test_the_help_names_every_option() -> None:
    text = cell_help()
    for option in ("-n", "-c", "-l", "--context", "--kubeconfig", "--out", "--no-raise-error", "--ok", "--quiet"):
        assert option in text
    for option in ("--timeout", "--dry-run", "-v", "-h"):
        assert option in text
