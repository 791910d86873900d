"""The screen of a run: what a notebook is sent, how often, and what it is told of the rest; on the test's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.notebook.view.audience import Audience
from kexec_magic.notebook.view.budget import NOTEBOOK, TERMINAL, Budget, Rates, wire_size
from kexec_magic.notebook.view.screen import Screen
from kexec_magic.wire.channels import Channel
from tests.notebook.view.terminals import Terminal

OUT, ERR = Channel.STDOUT, Channel.STDERR
MESSAGE = 1000


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Notebook:
    """A kernel's streams and its budget, on a clock that only the test moves."""

    rates: Rates = NOTEBOOK
    clock: Clock = field(default_factory=Clock)
    messages: list[tuple[float, str, str]] = field(default_factory=list)  # when, which stream, what

    def __post_init__(self) -> None:
        self.budget = Budget(self.rates, clock=self.clock)

    def screen(self, audience: Audience | None = None) -> Screen:
        return Screen(
            self.budget, audience or Audience("cell"), clock=self.clock, sleep=self.clock.sleep, write=self.write
        )

    def write(self, channel: Channel, text: str) -> None:
        self.messages.append((self.clock(), channel.name.lower(), text))

    def run(self, *writes: tuple[Channel, bytes], pause: float = 0.0, audience: Audience | None = None) -> None:
        """Let a command write with pauses, and end."""
        screen = self.screen(audience)
        for channel, data in writes:
            screen.add(channel, data)
            screen.tick()
            self.clock.sleep(pause)
        screen.finish()

    def text(self, name: str) -> str:
        return "".join(text for _, other, text in self.messages if other == name)

    @property
    def size(self) -> int:
        return sum(wire_size(text) + MESSAGE for _, _, text in self.messages)

    @property
    def items(self) -> int:
        """The output items that a front end makes of the messages: one for each change of stream."""
        return len(list(groupby(name for _, name, _ in self.messages)))

    def heaviest(self, seconds: float) -> int:
        """Give the bytes of the messages in the heaviest window of so many seconds."""
        return max(
            sum(wire_size(text) + MESSAGE for at, _, text in self.messages if start <= at < start + seconds)
            for start, _, _ in self.messages
        )


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


LINES = b"".join(b"line %073d\n" % number for number in range(25_000))  # 79 bytes each


def test_a_few_lines_are_shown_at_once_and_in_order(notebook: Notebook) -> None:
    screen = notebook.screen()
    screen.add(OUT, b"out\n")
    screen.add(ERR, b"err\n")
    screen.tick()
    assert [(name, text) for _, name, text in notebook.messages] == [("stdout", "out\n"), ("stderr", "err\n")]
    screen.finish()
    assert len(notebook.messages) == 2


def test_within_a_slice_a_channel_is_one_message_and_between_slices_the_order_holds(notebook: Notebook) -> None:
    notebook.run((OUT, b"1\n"), (ERR, b"a\n"), (OUT, b"2\n"), (ERR, b"b\n"), (OUT, b"3\n"), pause=0.04)
    assert [text for _, _, text in notebook.messages] == ["1\n", "a\nb\n", "2\n", "3\n"]


def test_a_flood_shows_its_head_then_one_line_then_its_tail(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES)] * 100)
    text = notebook.text("stdout")
    lines = text.splitlines()
    (told,) = [index for index, line in enumerate(lines) if line.startswith("\N{HORIZONTAL ELLIPSIS}")]
    assert lines[:told] == [line.decode() for line in (LINES * 2).splitlines()[:told]]
    assert 10_000 < told < 20_000
    assert lines[told + 1 :] == [line.decode() for line in LINES.splitlines()[-40:]]
    left_out = 2_500_000 - told - 40
    assert (
        lines[told] == f"\N{HORIZONTAL ELLIPSIS} {left_out * 79 / 1e6:.1f} MB of stdout ({left_out:,} lines) not shown"
    )
    assert notebook.text("stderr") == ""


def test_a_message_on_the_other_channel_gets_through_a_flood(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES)] * 10, (ERR, b"something is wrong\n"), (OUT, LINES))
    assert notebook.text("stderr") == "something is wrong\n"


def test_a_flood_that_lasts_says_so_in_one_line_that_its_end_replaces(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES)] * 100, pause=0.5)
    so_far = [text for _, _, text in notebook.messages if "so far" in text]
    assert len(so_far) > 10
    assert all(text.startswith("\r") for text in so_far[1:])
    assert "MB of stdout" in so_far[0]
    seen = ["".join(character for character, _ in line) for line in Terminal().show(notebook.text("stdout")).screen]
    assert len([line for line in seen if line.startswith("\N{HORIZONTAL ELLIPSIS}")]) == 1
    assert "" not in seen[:-1]


def test_the_other_channel_takes_the_place_of_that_line(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES)] * 20, (ERR, b"something\n"), *[(OUT, LINES)] * 20, pause=0.5)
    before = notebook.messages.index(next(found for found in notebook.messages if found[2] == "something\n"))
    assert "so far" in notebook.messages[before - 2][2]
    assert notebook.messages[before - 1][2].strip() == ""
    assert not any("so far" in text for _, _, text in notebook.messages[before:])


def test_nobody_is_told_of_a_flood_before_its_end_where_nobody_watches(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES)] * 20, pause=0.5, audience=Audience("cell", sees_results=False, sees_changes=False))
    assert "so far" not in notebook.text("stdout")
    assert notebook.text("stdout").count("\N{HORIZONTAL ELLIPSIS}") == 1


def test_floods_on_both_channels_are_told_in_one_line(notebook: Notebook) -> None:
    notebook.run(*[(OUT, LINES), (ERR, LINES)] * 10)
    told = [line for line in notebook.text("stdout").splitlines() if line.startswith("\N{HORIZONTAL ELLIPSIS}")]
    assert len(told) == 1
    assert "MB of stdout" in told[0]
    assert "MB of stderr" in told[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in notebook.text("stderr")
    assert notebook.text("stderr").endswith(LINES[-79:].decode())


def test_output_that_is_over_by_less_than_a_tail_is_shown_whole(notebook: Notebook) -> None:
    screen, sent, room = notebook.screen(), 0, notebook.budget.allowance("cell")
    while room.has_room(OUT):
        screen.add(OUT, LINES[:7900])
        sent += 7900
    screen.add(OUT, "€uro\n".encode() * 100)
    screen.finish()
    assert len(notebook.text("stdout").encode()) == sent + 700
    assert "not shown" not in notebook.text("stdout")


def test_a_burst_that_the_budget_can_show_a_little_later_is_shown_whole(notebook: Notebook) -> None:
    notebook.run((OUT, LINES[:1_060_000]))
    assert notebook.text("stdout") == LINES[:1_060_000].decode()
    assert notebook.clock() - 1000 <= 2


def test_a_budget_that_others_have_spent_leaves_a_line_and_a_tail(notebook: Notebook) -> None:
    notebook.budget.spend(4_000_000)
    notebook.run((OUT, LINES))
    assert notebook.text("stdout").startswith("\N{HORIZONTAL ELLIPSIS} ")
    assert notebook.text("stdout").endswith(LINES[-79 * 40 :].decode())


@pytest.mark.parametrize(
    "piece",
    [
        LINES,
        b"\r" + b"#" * 79,
        bytes(range(256)) * 100,
        b"\x1b[31mred\x1b[0m\n" * 1000,
        b"x" * 100_000,
        b"y\n" * 10_000,
    ],
    ids=["lines", "bar", "binary", "colours", "one line", "short lines"],
)
def test_no_output_sends_more_than_two_megabytes_or_what_a_server_drops(notebook: Notebook, piece: bytes) -> None:
    screen = notebook.screen()
    for number in range(4000):
        for channel in (OUT, ERR):
            screen.add(channel, piece)
        if number % 4 == 0:
            notebook.clock.sleep(0.02)
            screen.tick()
    screen.finish()
    assert notebook.size < 2_000_000
    assert notebook.heaviest(3.0) < 3_000_000


def test_short_lines_that_a_page_takes_long_to_lay_out_are_fewer(notebook: Notebook) -> None:
    notebook.run(*[(OUT, b"y\n" * 100_000)] * 20)
    assert notebook.text("stdout").count("\n") < 60_000


def test_many_runs_at_once_and_cell_after_cell_stay_below_what_a_server_drops(notebook: Notebook) -> None:
    for cell in range(4):
        screens = [notebook.screen(Audience(f"cell {cell}")) for _ in range(5)]
        for _ in range(20):
            for screen in screens:
                screen.add(OUT, LINES[:100_000])
                screen.tick()
            notebook.clock.sleep(0.05)
        for screen in screens:
            screen.finish()
    assert notebook.heaviest(3.0) < 3_000_000


def test_runs_of_one_cell_share_what_the_cell_may_show(notebook: Notebook) -> None:
    for _ in range(5):
        notebook.clock.sleep(10)
        notebook.run((OUT, LINES[:790_000]))
    assert notebook.size < 2_000_000


def test_writes_come_no_faster_than_the_budget_lets_them(notebook: Notebook) -> None:
    screens = [notebook.screen() for _ in range(20)]
    for _ in range(100):
        for screen in screens:
            screen.add(OUT, b"line\n")
            screen.tick()
        notebook.clock.sleep(0.1)
    assert len(notebook.messages) <= 110


def test_a_million_alternating_lines_make_few_items(notebook: Notebook) -> None:
    lines = [(channel, LINES[:79]) for channel in (OUT, ERR)]
    notebook.run(*lines * 100_000, pause=1e-4)
    assert notebook.items < 30


def test_channels_that_alternate_for_a_minute_wait_for_each_other(notebook: Notebook) -> None:
    notebook.run(*[(OUT, b"out\n"), (ERR, b"err\n")] * 300, pause=0.1)
    assert notebook.items < 60
    assert notebook.text("stdout") == "out\n" * 300
    assert notebook.text("stderr") == "err\n" * 300


def test_a_bar_is_seen_to_move_and_costs_little(notebook: Notebook) -> None:
    notebook.run(*((OUT, b"\r%78d%%" % number) for number in range(36_000)), pause=0.1)
    shown = [text for _, _, text in notebook.messages]
    assert shown[0].endswith(" 0%")
    assert shown[-1] == "\r" + f"{35_999:78d}%"
    assert 300 < len(shown) < 2500
    assert notebook.size - len(shown) * MESSAGE < 250_000


def test_a_bar_of_200_megabytes_is_a_few_lines_and_nothing_is_left_out(notebook: Notebook) -> None:
    states = b"".join(b"\r%79d" % number for number in range(25_000))
    notebook.run(*[(OUT, states)] * 100, (OUT, b"\n"), pause=0.1)
    assert Terminal().show(notebook.text("stdout")).screen == Terminal().show(f"{24_999:79d}\n").screen
    assert notebook.size < 100_000


def test_a_bar_that_nobody_watches_is_written_once(notebook: Notebook) -> None:
    unwatched = Audience("cell", sees_results=False, sees_changes=False)
    notebook.run(*((OUT, b"\r%d%%" % number) for number in range(101)), pause=1.0, audience=unwatched)
    assert [text for _, _, text in notebook.messages] == ["100%"]


def test_a_note_gets_a_line_of_its_own_and_the_command_goes_on_after_it(notebook: Notebook) -> None:
    screen = notebook.screen()
    screen.add(ERR, b"50%")
    screen.tick()
    screen.write_line(ERR, "a note")
    screen.add(ERR, b"\r100%\n")
    screen.finish()
    assert notebook.text("stderr") == "50%\na note\n100%\n"


def test_a_terminal_is_shown_everything() -> None:
    notebook = Notebook(TERMINAL)
    notebook.run(*[(OUT, LINES)] * 5)
    assert notebook.text("stdout") == LINES.decode() * 5


_WRITE = st.tuples(
    st.sampled_from([OUT, ERR]),
    st.one_of(st.text(alphabet="ab\n\r€", max_size=9).map(str.encode), st.binary(max_size=5)),
)


@given(st.lists(_WRITE, max_size=30), st.sampled_from([0.0, 0.03, 0.2, 3.0]), st.integers(1, 5))
def test_however_output_is_cut_over_messages_channels_and_time_each_channel_reads_the_same(
    writes: list[tuple[Channel, bytes]], pause: float, size: int
) -> None:
    cut = [(channel, data[at : at + size]) for channel, data in writes for at in range(0, len(data), size)]
    once, often = Notebook(), Notebook()
    for channel in (OUT, ERR):
        once.run((channel, b"".join(data for other, data in writes if other is channel)))
    often.run(*cut, pause=pause)
    for name in ("stdout", "stderr"):
        assert Terminal().show(often.text(name)).screen == Terminal().show(once.text(name)).screen
