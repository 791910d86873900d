"""The marks of a supervisor, taken out of any output however it is cut; literal bytes in, what they say out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.wire.channels import Channel
from kexec_magic.wire.protocol import Output
from kexec_magic.wire.supervisor import Began, Exited, Found, Held, Launch, Mode, NotBegun, Orphaned, Said, Supervision

NONCE = "0123456789abcdef0123456789abcdef"
OUT, ERR = Channel.STDOUT, Channel.STDERR


def mark(words: str) -> bytes:
    return b"\x1e" + f"{NONCE} {words}".encode() + b"\x1e"


def supervision() -> Supervision:
    return Supervision(NONCE, "fedcba98", orphan_after=120)


def heard(pieces: Iterable[tuple[Channel, bytes]]) -> tuple[dict[Channel, bytes], list[Said]]:
    """Give what is left of each channel, and all that was said."""
    ears = supervision()
    output = {OUT: b"", ERR: b""}
    said: list[Said] = []
    for channel, data in pieces:
        for item in ears.receive(Output(channel, data)):
            if isinstance(item, Output):
                output[item.channel] += item.data
            else:
                said.append(item)
    for rest in ears.rest():
        output[rest.channel] += rest.data
    return output, said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("at 7 8 9", Began(7, 8, 9)),
        ("left", Found(())),
        ("left 12 13", Found((12, 13))),
        ("hold 4", Held(4)),
        ("lacks program", NotBegun("program")),
        ("orphaned", Orphaned()),
    ],
)
def test_a_mark_is_understood_and_taken_out(words: str, said: Said) -> None:
    assert heard([(ERR, b"before" + mark(words) + b"after")]) == ({OUT: b"", ERR: b"beforeafter"}, [said])


def test_a_run_has_ended_only_when_both_channels_say_so() -> None:
    ears = supervision()
    assert ears.receive(Output(ERR, mark("end 7"))) == []
    assert ears.receive(Output(OUT, b"tail" + mark("end 7"))) == [Output(OUT, b"tail"), Exited(7)]


@pytest.mark.parametrize(("kills", "told"), [("", None), (" 0", 0), (" 12", 12)])
def test_the_end_tells_how_often_memory_ran_out_where_that_is_known(kills: str, told: int | None) -> None:
    ends = [(ERR, mark(f"end 137{kills}")), (OUT, mark(f"end 137{kills}"))]
    assert heard(ends)[1] == [Exited(137, oom_kills=told)]


def test_a_terminal_has_one_channel_and_so_one_mark() -> None:
    ears = Supervision(NONCE, "fedcba98", orphan_after=120, channels=(OUT,))
    assert ears.receive(Output(OUT, mark("end 0"))) == [Exited(0)]


def test_a_mark_with_another_nonce_is_output() -> None:
    forged = b"\x1e" + NONCE[::-1].encode() + b" end 0\x1e"
    assert heard([(OUT, forged), (ERR, forged)]) == ({OUT: forged, ERR: forged}, [])


def test_what_only_begins_like_a_mark_is_given_in_the_end() -> None:
    for cut in range(1, len(mark("end 0"))):
        assert heard([(OUT, b"x" + mark("end 0")[:cut])]) == ({OUT: b"x" + mark("end 0")[:cut], ERR: b""}, [])


def test_a_mark_that_never_ends_is_not_held_back_for_ever() -> None:
    endless = b"\x1e" + NONCE.encode() + b" " + b"9" * 100_000
    ears = supervision()
    given_at_once = b"".join(item.data for item in ears.receive(Output(OUT, endless)) if isinstance(item, Output))
    assert len(given_at_once) > 30_000


def test_an_unknown_word_says_nothing_and_is_no_output() -> None:
    assert heard([(OUT, mark("what is this"))]) == ({OUT: b"", ERR: b""}, [])


OUTPUTS = st.lists(
    st.sampled_from([b"text\n", b"\x1e", b"\x1e" + NONCE[:5].encode(), b"\x00\xff", b"\xc3\xa4", b"x" * 50])
)


@given(out=OUTPUTS, err=OUTPUTS, cuts=st.lists(st.integers(1, 60), min_size=1), first=st.booleans())
def test_any_cut_of_any_output_with_marks_gives_the_same(
    out: list[bytes], err: list[bytes], cuts: list[int], first: bool
) -> None:
    plain = {OUT: b"".join(out), ERR: b"".join(err)}
    streams = {OUT: plain[OUT] + mark("end 3"), ERR: mark("at 1 2 3") + plain[ERR] + mark("end 3")}
    pieces: list[tuple[Channel, bytes]] = []
    turn = OUT if first else ERR
    sizes = iter(cuts * 10_000)
    while any(streams.values()):
        if streams[turn]:
            size = next(sizes)
            pieces.append((turn, streams[turn][:size]))
            streams[turn] = streams[turn][size:]
        turn = ERR if turn is OUT else OUT
    assert heard(pieces) == (plain, [Began(1, 2, 3), Exited(3)])


def test_the_argv_is_the_same_for_every_run_and_knows_nothing_of_it() -> None:
    assert Supervision.argv() == Supervision.argv()
    assert len("".join(Supervision.argv())) < 200
    assert Supervision.argv(17)[-1] == "17"


def test_control_lines_name_the_runs_processes_once_they_are_known() -> None:
    ears = supervision()
    assert ears.control("INT") == b"INT\n"
    ears.receive(Output(ERR, mark("at 7 8 9")))
    assert ears.control("INT") == b"INT 7 8 9\n"


def test_a_script_that_cannot_be_sent_whole_is_not_started() -> None:
    launch = Launch(script="echo one\necho two\n")
    assert supervision().opening(Mode.RUN, launch).endswith(b"\ngo\n")
    assert not supervision().opening(Mode.FED, launch).endswith(b"\ngo\n")


def test_the_program_is_one_line_of_ascii() -> None:
    program = supervision().holding().split(b"\n")[0]
    assert program.isascii()
    assert b"_serve() {" in program
    assert b"#" not in program.replace(b"##", b"").replace(b"#/", b"").replace(b"#x", b"")
