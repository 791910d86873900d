"""From the bytes of a channel to text: however they are cut and whenever somebody looks, the end is the same."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexec_magic.notebook.view.terminal_text import TerminalText
from tests.notebook.view.terminals import Terminal, browser_text


def shown(*pieces: bytes) -> str:
    """Give all the text that pieces come to, if nobody looks before the end."""
    text = TerminalText()
    return "".join(text.feed(piece) for piece in pieces) + text.finish()


def watched(*pieces: bytes) -> list[str]:
    """Give the texts that pieces come to, if somebody looks after each."""
    text = TerminalText()
    texts = [text.feed(piece) + text.update() for piece in pieces]
    return [*texts, text.finish()]


def screen(text: str) -> list[list[tuple[str, str]]]:
    return Terminal().show(text).screen


# What commands write: words, moves, colours, erasures, other sequences, characters of several bytes, any bytes.
_WHOLE = st.sampled_from(
    [
        *("a", "bc", "12%", "\t", "é", "€", "🙂", "\n", "\r", "\r\n", "\b"),
        *("\x1b[31m", "\x1b[1;32m", "\x1b[38;5;9m", "\x1b[0m", "\x1b[m"),
        *("\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[G", "\x1b[1A", "\x1b[2J", "\x1b[?25l"),
    ]
).map(str.encode)
_BROKEN = st.sampled_from(
    [
        b"\x1b",
        b"\x1b[",
        b"\x1b[3",
        b"\x1b]0;title\x07",
        b"\x1b]8;;x\x1b\\",
        b"\x1bP",
        b"\x1b(B",
        b"\xe2\x82",
        b"\xff",
        b"\xc2\x9b",
    ]
)
_WRITTEN = st.lists(_WHOLE, max_size=40).map(b"".join)
_ANYTHING = st.lists(st.one_of(_WHOLE, _BROKEN, st.binary(max_size=3)), max_size=40).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


_PLACES = st.lists(st.integers(0, 400), max_size=12)


@given(_WRITTEN)
def test_a_line_looks_as_it_does_on_a_terminal(data: bytes) -> None:
    assert screen(shown(data)) == screen(data.decode())


@given(_ANYTHING, _PLACES)
def test_any_cut_of_any_bytes_shows_the_same(data: bytes, places: list[int]) -> None:
    assert shown(*cut(data, places)) == shown(data)


@given(_ANYTHING, _PLACES)
def test_looking_in_between_changes_nothing_of_what_is_seen_in_the_end(data: bytes, places: list[int]) -> None:
    texts = watched(*cut(data, places))
    assert screen("".join(texts)) == screen(shown(data))


@given(_WRITTEN, _PLACES)
def test_a_browser_that_writes_over_colours_too_shows_the_same(data: bytes, places: list[int]) -> None:
    assert screen(browser_text(watched(*cut(data, places)))) == screen(shown(data))


@given(_ANYTHING, _PLACES)
def test_nothing_but_colours_and_the_moves_of_a_line_reaches_the_screen(data: bytes, places: list[int]) -> None:
    text = "".join(watched(*cut(data, places)))
    rest = re.sub("\x1b\\[[0-9;:]*m", "", text)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", rest)


@given(st.text())
def test_text_without_controls_is_shown_to_the_letter(text: str) -> None:
    plain = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "", text)
    assert shown(plain.encode()) == plain


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\x1b]0;a title\x07b\n", "ab\n"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "link\n"),
        (b"\x1bPq#0;2;0;0;0\x1b\\after\n", "after\n"),
        (b"\x1b]no end of it\nafter\n", "\nafter\n"),
        (b"\x1b[2J\x1b[1;1Hcleared\n", "cleared\n"),
        (b"\x1b(Bplain\x1b=\x1b>\n", "plain\n"),
        (b"\x1b[>4;1mno colour\n", "no colour\n"),
        (b"bell\x07 form\x0cfeed null\x00\n", "bell formfeed null\n"),
        (b"\x1b[31mred\x1b[0m plain\n", "\x1b[31mred\x1b[0m plain\n"),
        (b"\x1b[31mone\ntwo\n", "\x1b[31mone\x1b[0m\n\x1b[31mtwo\x1b[0m\n"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"10%\r20%\r30%\ndone\n", "30%\ndone\n"),
        (b"loading ...\rdone\n", "doneing ...\n"),
        (b"loading ...\r\x1b[Kdone\n", "done\n"),
        (b"\x1b[2K\x1b[1G| npm\x1b[2K\x1b[1G/ npm\n", "/ npm\n"),
        (b"o\b\bover\bs\n", "oves\n"),
        (b"caf\xc3\xa9 \xff\n", "café \N{REPLACEMENT CHARACTER}\n"),
        (b"cut \xe2\x82", "cut \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_notebook_is_shown_of(data: bytes, text: str) -> None:
    assert shown(data) == text
    assert shown(*(data[i : i + 1] for i in range(len(data)))) == text


def test_an_unfinished_line_is_continued_where_nothing_was_written_over() -> None:
    assert watched(b"Password: ", b"\rPassword: ", b"ok\n") == ["Password: ", "", "ok\n", ""]


def test_a_line_that_was_seen_is_written_over_from_its_start_and_leaves_nothing_behind() -> None:
    assert watched(b"100 kB", b"\r\x1b[K2 MB") == ["100 kB", "\r2 MB  ", ""]


def test_a_line_of_any_length_goes_out_before_it_ends() -> None:
    text = TerminalText()
    assert len(text.feed(b"x" * 1_000_000)) > 990_000


def test_a_return_to_the_start_of_a_line_too_long_to_hold_begins_a_new_one() -> None:
    assert shown(b"x" * 5000, b"\r", b"bar\n") == "x" * 5000 + "\nbar\n"
    assert shown(b"x" * 5000, b"\r\n") == "x" * 5000 + "\n"


_BARS = b"".join(b"\r\x1b[3%dm%6d of 20000" % (number % 8, number) for number in range(20_000))


@settings(max_examples=15)
@given(_PLACES.map(lambda places: [place * 1009 for place in places]))
def test_a_line_that_is_written_over_without_end_comes_to_its_last_state(places: list[int]) -> None:
    text = shown(*cut(_BARS + b"\nafter", places))
    assert screen(text)[0] == [(character, "\x1b[37m") for character in " 19999 of 20000"]
    assert text == shown(_BARS + b"\nafter")
