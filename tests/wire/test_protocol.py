"""One exec as a protocol: literal messages in, events out; the recordings of real servers; any cut of any bytes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.errors import ProtocolError
from kexec_magic.wire.channels import OFFERED, Channel, Subprotocol, negotiated
from kexec_magic.wire.protocol import Ended, Event, ExecProtocol, Opened, Output
from kexec_magic.wire.status import Status
from tests.recordings import Recording, recordings

SUCCESS = b'{"metadata":{},"status":"Success"}'
EXIT_7 = (
    b'{"metadata":{},"status":"Failure","message":"command terminated with exit code 7","reason":"NonZeroExitCode",'
    b'"details":{"causes":[{"reason":"ExitCode","message":"7"}]}}'
)


def feed(messages: Iterable[bytes], *, subprotocol: Subprotocol = Subprotocol.V5, clean: bool = True) -> list[Event]:
    protocol = ExecProtocol(subprotocol)
    events = [event for message in messages for event in protocol.receive_message(message)]
    return [*events, protocol.end(clean=clean)]


def joined(events: Iterable[Event], channel: Channel) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output) and event.channel is channel)


def end_of(events: list[Event]) -> Ended:
    assert isinstance(events[-1], Ended)
    return events[-1]


def test_output_and_status_become_events_in_their_order() -> None:
    assert feed([b"\x01", b"\x01out\n", b"\x02err\n", b"\x03" + SUCCESS]) == [
        Opened(),
        Output(Channel.STDOUT, b"out\n"),
        Output(Channel.STDERR, b"err\n"),
        Ended(proved=True, status=Status(success=True, exit_code=0), clean=True),
    ]


@pytest.mark.parametrize("channel", [1, 2, 3])
def test_the_empty_first_message_opens_the_exec_and_is_no_output_and_no_status(channel: int) -> None:
    assert feed([bytes([channel])], clean=False) == [Opened(), Ended(proved=False, status=None, clean=False)]


def test_a_later_empty_message_says_nothing() -> None:
    assert feed([b"\x01", b"\x01", b"\x02", b"\x03", b""], clean=False)[:-1] == [Opened()]


@pytest.mark.parametrize("message", [b"\x00in", b"\x04{}", b"\x09what", b"\xff\x01", b"\xffa longer one"])
def test_a_channel_that_a_server_has_no_business_with_is_ignored(message: bytes) -> None:
    assert feed([message, b"\x01out"], clean=False)[:-1] == [Output(Channel.STDOUT, b"out")]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_status_split_over_messages_is_parsed_once_at_the_end(size: int) -> None:
    pieces = [b"\x03" + EXIT_7[start : start + size] for start in range(0, len(EXIT_7), size)]
    status = end_of(feed(pieces)).status
    assert status is not None
    assert status.exit_code == 7


def test_a_whole_status_is_known_before_the_close() -> None:
    protocol = ExecProtocol(Subprotocol.V5)
    protocol.receive_message(b"\x03" + EXIT_7[:30])
    assert not protocol.has_status
    protocol.receive_message(b"\x03" + EXIT_7[30:])
    assert protocol.has_status


@pytest.mark.parametrize("subprotocol", [Subprotocol.V5, Subprotocol.V4])
def test_a_clean_close_without_a_status_proves_nothing(subprotocol: Subprotocol) -> None:
    assert end_of(feed([b"\x01out"], subprotocol=subprotocol)) == Ended(proved=False, status=None, clean=True)


@pytest.mark.parametrize("subprotocol", [Subprotocol.CHANNEL, Subprotocol.UNNAMED])
def test_on_a_legacy_subprotocol_a_clean_close_is_the_proof_and_a_lost_one_is_none(subprotocol: Subprotocol) -> None:
    assert end_of(feed([b"\x01out"], subprotocol=subprotocol)).proved
    assert not end_of(feed([b"\x01out"], subprotocol=subprotocol, clean=False)).proved


def test_a_status_before_a_reset_is_still_a_proof() -> None:
    ended = end_of(feed([b"\x03" + EXIT_7], clean=False))
    assert (ended.proved, ended.status and ended.status.exit_code) == (True, 7)


def test_half_a_status_before_a_reset_is_no_proof() -> None:
    assert end_of(feed([b"\x03" + EXIT_7[:40]], clean=False)) == Ended(proved=False, status=None, clean=False)


def test_text_that_is_no_status_is_a_failure_with_that_text() -> None:
    status = end_of(feed([b"\x03something broke\n"])).status
    assert status == Status(success=False, message="something broke")


def test_an_endless_error_channel_is_refused() -> None:
    protocol = ExecProtocol(Subprotocol.V5)
    protocol.receive_message(b"\x03" + b"x" * (1024 * 1024))
    with pytest.raises(ProtocolError, match="error channel"):
        protocol.receive_message(b"\x03x")


def test_stdin_is_cut_into_pieces_that_no_server_has_to_join() -> None:
    messages = list(ExecProtocol(Subprotocol.V5).send_stdin(b"a" * 70_000))
    assert [len(message) for message in messages] == [32769, 32769, 70_000 - 65536 + 1]
    assert all(message[0] == Channel.STDIN for message in messages)


def test_no_input_is_no_message() -> None:
    assert list(ExecProtocol(Subprotocol.V5).send_stdin(b"")) == []


def test_the_end_of_stdin_is_two_bytes_on_v5_and_an_error_before() -> None:
    assert ExecProtocol(Subprotocol.V5).send_end_of_stdin() == b"\xff\x00"
    for older in (Subprotocol.V4, Subprotocol.CHANNEL, Subprotocol.UNNAMED):
        with pytest.raises(ProtocolError, match="cannot end stdin"):
            ExecProtocol(older).send_end_of_stdin()


def test_a_terminals_size_travels_as_json_with_the_servers_own_keys() -> None:
    message = ExecProtocol(Subprotocol.V5).send_resize(width=120, height=40)
    assert (message[0], json.loads(message[1:])) == (Channel.RESIZE, {"Width": 120, "Height": 40})


@pytest.mark.parametrize("size", [0, -1, 65536])
def test_a_terminals_size_outside_16_bits_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match="1 to 65535"):
        ExecProtocol(Subprotocol.V5).send_resize(width=size, height=40)


def test_the_agreed_subprotocol_is_one_that_was_offered() -> None:
    assert negotiated("v4.channel.k8s.io", OFFERED) is Subprotocol.V4
    assert negotiated(None, (Subprotocol.UNNAMED,)) is Subprotocol.UNNAMED
    assert negotiated("", (Subprotocol.UNNAMED,)) is Subprotocol.UNNAMED


@pytest.mark.parametrize("name", [None, "", "channel.k8s.io", "v9.channel.k8s.io"])
def test_a_subprotocol_that_was_not_offered_is_refused(name: str | None) -> None:
    with pytest.raises(ProtocolError, match=r"not offered|no subprotocol"):
        negotiated(name, OFFERED)


@pytest.mark.parametrize("name", ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"])
def test_a_base64_subprotocol_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ProtocolError, match="base64"):
        negotiated(name, OFFERED)


# What each recorded case says: stdout and stderr (None: not looked at), and the exit code (None: none is proved).
CASES: dict[str, tuple[bytes | None, bytes | None, int | None]] = {
    "echo": (b"hello\n", b"", 0),
    "exit7": (b"out\n", b"err\n", 7),
    "stderr-exit1": (b"", b"cat: can't open 'notafile': No such file or directory\n", 1),
    "killed-by-signal": (b"", b"", 137),
    "command-not-found": (b"", b"", None),
    "no-command": (b"", b"", None),
    "no-output": (b"", b"", 0),
    "binary-bytes": (None, b"", 0),
    "container-param": (None, b"", 0),
    "stdin-cat": (None, b"", 0),
    "stdin-half-close": (b"abc\neof-seen\n", b"", 0),
    "stdin-close-first": (None, b"", 0),
    "text-frame-stdin": (None, b"", 0),
    "token-ok": (None, b"", 0),
    "large-1MB": (None, b"", 0),
    "tty": (None, b"", 0),
    "tty-with-stderr-param": (None, b"", 0),
    "tty-ctrl-c": (None, b"", 130),
    "long-command-8k": (None, b"", 0),
    "long-command-120k": (None, b"", 0),
    "long-command-140k": (b"", None, 1),
    "negotiate-v5-first": (None, b"", 0),
    "negotiate-v4-first": (None, b"", 0),
    "negotiate-unknown-then-v4": (None, b"", 0),
    "pod-deleted-mid-run": (None, b"", 137),
    "container-restarts-mid-run": (None, b"", 137),
    # Ended from the client's side, or by the end of the server: nothing is proved.
    "bad-channel-from-client": (None, None, None),
    "client-closes-mid-run": (None, None, None),
    "sleep-client-drops": (None, None, None),
    "stdin-close-signal": (None, None, None),
    "apiserver-killed-mid-run": (None, None, None),
    "apiserver-stopped-mid-run": (None, None, None),
    "kubelet-killed-mid-run": (None, None, None),
}
NEVER_RAN = {"command-not-found", "no-command"}
UPGRADED = [case for case in recordings() if case.response["status"] == 101]
BINARY = [case for case in UPGRADED if "base64" not in case.response["headers"].get("sec-websocket-protocol", "")]


def kind(case: Recording) -> str:
    prefix, _, rest = case.name.partition("-")
    return rest if prefix in ("v5", "v4", "channel", "none", "b64v4") else case.name


@pytest.mark.parametrize("case", BINARY, ids=lambda case: case.id)
def test_a_recorded_exec_gives_its_output_and_its_exit_code(case: Recording) -> None:
    name = case.response["headers"]["sec-websocket-protocol"]
    subprotocol = negotiated(name, tuple(Subprotocol))
    stdout, stderr, exit_code = CASES[kind(case)]

    events = feed(case.messages, subprotocol=subprotocol, clean=case.close_frame is not None)

    assert events[0] == Opened()
    recorded = dict.fromkeys((1, 2), b"")
    for message in case.messages:
        if message[0] in recorded:
            recorded[message[0]] += message[1:]
    assert joined(events, Channel.STDOUT) == recorded[1]
    assert joined(events, Channel.STDERR) == recorded[2]
    if stdout is not None and kind(case) != "echo":
        assert recorded[1] == stdout
    if stderr is not None:
        assert recorded[2] == stderr

    ended = end_of(events)
    if subprotocol.is_legacy:
        # No exit code on these: silence is success, text is failure.
        assert ended.proved
        assert (ended.status is None) == (exit_code == 0)
    else:
        assert ended.proved == any(message[0] == 3 and len(message) > 1 for message in case.messages)
        if case.is_whole:
            assert (ended.status.exit_code if ended.status else None) == exit_code
    if case.is_whole and ended.status is not None:
        assert ended.status.never_started == (kind(case) in NEVER_RAN)


@pytest.mark.parametrize("case", [case for case in UPGRADED if case not in BINARY], ids=lambda case: case.id)
def test_a_recorded_base64_exec_is_refused_at_its_name(case: Recording) -> None:
    with pytest.raises(ProtocolError, match="base64"):
        negotiated(case.response["headers"]["sec-websocket-protocol"], OFFERED)


@st.composite
def cut_exec(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """Two channels' bytes and a Status, cut anywhere, the channels interleaved in any way, the Status last."""
    text = st.one_of(st.binary(max_size=200), st.text(max_size=80).map(str.encode))
    contents = {1: draw(text), 2: draw(text), 3: EXIT_7}
    pieces: dict[int, list[bytes]] = {}
    for number, content in contents.items():
        cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=8)))
        edges = [0, *cuts, len(content)]
        pieces[number] = [bytes([number]) + content[a:b] for a, b in itertools.pairwise(edges)]
    order = draw(st.permutations([1] * len(pieces[1]) + [2] * len(pieces[2])))
    queues = {number: iter(found) for number, found in pieces.items()}
    return contents[1], contents[2], [*(next(queues[number]) for number in order), *pieces[3]]


@given(cut_exec())
def test_any_cut_of_any_bytes_into_messages_gives_the_same_output_and_status(
    case: tuple[bytes, bytes, list[bytes]],
) -> None:
    stdout, stderr, messages = case
    events = feed(messages)
    assert joined(events, Channel.STDOUT) == stdout
    assert joined(events, Channel.STDERR) == stderr
    status = end_of(events).status
    assert status is not None
    assert status.exit_code == 7


@given(st.lists(st.binary(max_size=64), max_size=20), st.booleans(), st.sampled_from(Subprotocol))
def test_no_bytes_whatever_make_it_fail_or_invent_an_exit_code(
    messages: list[bytes], clean: bool, subprotocol: Subprotocol
) -> None:
    status = end_of(feed(messages, subprotocol=subprotocol, clean=clean)).status
    assert status is None or status.exit_code is None


@given(st.binary(max_size=200_000))
def test_stdin_arrives_whole_however_long_it_is(data: bytes) -> None:
    messages = list(ExecProtocol(Subprotocol.V4).send_stdin(data))
    assert b"".join(message[1:] for message in messages) == data
    assert all(1 < len(message) <= 32769 for message in messages)
