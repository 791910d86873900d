"""The sandbox against what real servers sent: every recorded request is sent again, and the answers compared.

Left out are times, how output was cut into messages, and the runtime's ids, which vary from run to run.
"""

from __future__ import annotations

import re

import pytest

from kexec_magic.sandbox import Sandbox
from kexec_magic.sandbox.roots import find_static_busybox
from tests.recordings import Recording, recordings
from tests.sandbox import plain
from tests.sandbox.plain import Access, Connection

pytestmark = pytest.mark.skipif(
    find_static_busybox() is None, reason="the recordings hold busybox's words, and this machine has no static busybox"
)
_TOKENS = {
    "forbidden": "bobtoken",
    "token-ok": "admintoken",
    "unauthorized-bad-token": "nosuchtoken",
    "rbac-get-only": "getonlytoken",
}
# What ends a command or a connection from outside has tests of its own (test_faults.py, test_mishaps.py).
_CASES = [case for case in recordings() if not case.name.endswith("-mid-run") or case.name.startswith("client-")]
_ID = re.compile(rb"[0-9a-f]{64}")
# busybox's stty, asked before the client's size has arrived; the sandbox may know the size already.
_STTY = re.compile(rb"stty: standard input: No child processes|\d+ \d+")


@pytest.fixture
def target(request: pytest.FixtureRequest, case: Recording) -> Access:
    """The sandbox that plays the recorded server."""
    found: Access = request.getfixturevalue("old_access" if case.server == "v1.20.2" else "access")
    return found


def _path(case: Recording) -> str:
    """Give the recorded path, with the characters that the recording only counts."""
    path: str = case.request["path"]
    shortened = re.fullmatch(r"(.*)\.\.\.\((\d+) characters, x repeated\)\.\.\.(.*)", path)
    if not shortened:
        return path
    head, length, tail = shortened.groups()
    return head + "x" * (int(length) - len(head) - len(tail)) + tail


def _replay(case: Recording, target: Access) -> Connection:
    subprotocols = case.request["subprotocols"]
    certificate = case.request["auth"] == "client-cert"
    token = _TOKENS[case.name] if case.request["auth"] == "bearer" else None
    with plain.upgrade(target, _path(case), subprotocols, token=token, certificate=certificate) as connection:
        if connection.response.status != 101:
            return connection
        if "ctrl-c" in case.name:
            _wait_for(target, "sleep 30")
        for frame in case.frames:
            if frame.get("dir") == ">":
                connection.send(bytes.fromhex(frame["hex"]), frame["opcode"])
        if case.close_frame is not None:
            return connection.drain()
        # Recorded was only that nothing more came.
        for channel, text in _channels(case.messages).items():
            connection.until(channel, text)
        connection.round_trip()
        assert connection.end == ""
        return connection


def _wait_for(target: Access, command: str) -> None:
    """Return once the pod runs a command."""
    script = f"until ps | grep -v grep | grep -q '[0-9] root *{command}'; do :; done"
    assert plain.run(target, "example", "sh", "-c", script, subprotocols=[]).end == "close"


def _channels(messages: list[bytes]) -> dict[int, bytes]:
    """Give each binary channel's bytes."""
    found: dict[int, bytes] = {}
    for message in messages:
        found[message[0]] = found.get(message[0], b"") + message[1:]
    return found


def _normal(content: bytes) -> bytes:
    return _STTY.sub(b"SIZE", _ID.sub(b"ID", content))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.id)
def test_the_sandbox_answers_as_the_real_server_did(case: Recording, target: Access) -> None:
    connection = _replay(case, target)
    response = connection.response
    assert response.status == case.response["status"]
    if response.status != 101:
        assert response.body.decode() == (case.response["body"] or response.body.decode())
        recorded = dict(case.response["headers"])
        # The sandbox closes after every refusal; a real server only where it says so.
        assert response.headers.pop("connection") == recorded.pop("connection", "close")
        assert response.headers == recorded
        return
    for name in ("upgrade", "connection", "sec-websocket-protocol"):
        assert response.headers.get(name) == case.response["headers"][name]
    _compare_frames(case, connection)


def _compare_frames(case: Recording, connection: Connection) -> None:
    sent = [payload for opcode, payload in connection.frames if opcode in (1, 2)]
    recorded = [frame for frame in case.frames if frame.get("dir") == "<"]
    assert {opcode for opcode, _ in connection.frames if opcode in (1, 2)} == {
        frame["opcode"] for frame in recorded if frame["opcode"] in (1, 2)
    }
    assert sent[0] == case.messages[0]
    assert max(map(len, sent[:-1]), default=0) <= 32 * 1024 + 1
    mine, theirs = _channels(sent), _channels(case.messages)
    assert mine.keys() == theirs.keys()
    for channel, content in theirs.items():
        if case.is_whole:
            assert _normal(mine[channel]) == _normal(content)
        else:
            assert len(mine[channel]) == len(content)
    if case.close_frame is not None:
        assert connection.frames[-1] == (plain.CLOSE, case.close_frame)
        # The Status, where there is one, is the last thing before the close frame.
        assert sent[-1][0] == case.messages[-1][0]


def test_the_recordings_of_both_servers_are_there() -> None:
    assert {case.server for case in _CASES} == {"v1.20.2", "v1.36.2"}
    assert len(_CASES) > 100


def test_without_a_subprotocol_only_a_failure_says_anything_on_the_error_channel(access: Access) -> None:
    assert plain.run(access, "example", "true", subprotocols=[]).frames == [(2, b"\x01"), (8, b"\x03\xe8")]


def test_v4_ignores_the_close_signal_and_stdin_stays_open(access: Access) -> None:
    with plain.upgrade(access, plain.exec_path("example", "cat", stdin="true"), [plain.V4]) as connection:
        connection.close_stdin()
        connection.stdin(b"still open\n")
        connection.until(1, b"still open\n")


def test_old_and_new_play_their_part(
    sandbox: Sandbox, old_sandbox: Sandbox, access: Access, old_access: Access
) -> None:
    assert plain.get(access, "/version").json()["minor"] == "36"
    assert plain.get(old_access, "/version").json()["minor"] == "20"
