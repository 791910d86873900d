"""What the client makes of a server that misbehaves: never a hang, never an invented exit code, never a lost byte."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kexec_magic import (
    ApiError,
    Cluster,
    ClusterUnreachable,
    CommandNotStarted,
    ConnectionLost,
    ExecResult,
    Forbidden,
    KexecError,
    Outcome,
    PodNotFound,
    Unauthorized,
    run,
)
from kexec_magic.sandbox import Sandbox, faults

SECONDS = 30  # a bound for what must not hang; none of these takes that long
MARK = "echo one; echo two >&2; exit 7"


def seen(result: ExecResult) -> tuple[Outcome, int | None, bool]:
    return result.outcome, result.exit_code, result.complete


@pytest.mark.parametrize("fault", [faults.drop_connection, faults.reset])
def test_losing_the_connection_before_the_status_leaves_the_exit_code_unknown(
    sandbox: Sandbox, faulty: Cluster, fault: type
) -> None:
    sandbox.on_exec("*", fault(after=b"one\n"))
    result = faulty.run("example", "echo one; sleep 0.2; echo two", timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    with pytest.raises(ConnectionLost, match="connection was lost") as caught:
        result.check()
    assert "is ended in the pod" in str(caught.value)
    # A reset may overtake the bytes before it; an ordinary end may not.
    assert result.stdout == "one\n" or (fault is faults.reset and result.stdout == "")


NO_STATUS = [faults.drop_before_status, faults.close_without_status]


@pytest.mark.parametrize("fault", NO_STATUS)
def test_without_a_supervisor_all_output_and_then_no_status_is_not_a_success(
    sandbox: Sandbox, faulty: Cluster, fault: Callable[[], faults.Fault]
) -> None:
    sandbox.on_exec("*", fault())
    result = faulty.run("example", argv=["echo", "all"], direct=True, timeout=SECONDS)
    assert (seen(result), result.stdout) == ((Outcome.LOST, None, False), "all\n")


@pytest.mark.parametrize("fault", NO_STATUS)
def test_the_supervisors_marks_prove_the_end_where_no_status_comes(
    sandbox: Sandbox, faulty: Cluster, fault: Callable[[], faults.Fault]
) -> None:
    sandbox.on_exec("*", fault())
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert (seen(result), result.stdout, result.stderr) == ((Outcome.EXITED, 7, True), "one\n", "two\n")


def test_a_status_and_a_supervisor_that_contradict_each_other_prove_nothing(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status('{"status":"Success"}'))
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    assert result.reason == "the server told exit code 0, and the supervisor in the pod 7"


def test_a_reset_after_the_status_is_tolerated(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.reset_after_status())
    for _ in range(10):
        result = faulty.run("example", "exit 7", timeout=SECONDS)
        # The reset may destroy the Status on its way: then nothing was proved, and nothing is invented.
        assert seen(result) in [(Outcome.EXITED, 7, True), (Outcome.LOST, None, False)]


def test_a_failure_without_causes_has_no_exit_code_and_is_no_success(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status_without_causes())
    assert seen(faulty.run("example", MARK, timeout=SECONDS)) == (Outcome.EXITED, 7, True)
    result = faulty.run("example", argv=["sh", "-c", MARK], direct=True, timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, True)
    assert (result.stdout, result.stderr) == ("one\n", "two\n")
    with pytest.raises(ConnectionLost, match="no exit code"):
        result.check()


@pytest.mark.parametrize("pieces", [2, 5, 1000])
def test_a_status_in_pieces_is_read_whole(sandbox: Sandbox, faulty: Cluster, pieces: int) -> None:
    sandbox.on_exec("*", faults.split_status(pieces))
    assert seen(faulty.run("example", MARK, timeout=SECONDS)) == (Outcome.EXITED, 7, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"status":"Success"}', (Outcome.EXITED, 0, True)),
        ('{"metadata":{},"status":"Success","message":"x"}', (Outcome.EXITED, 0, True)),
        ("not json at all", (Outcome.LOST, None, True)),
        ("{}", (Outcome.LOST, None, True)),
        (json.dumps({"status": "Failure", "reason": "InternalError", "message": "boom"}), (Outcome.LOST, None, True)),
        (
            json.dumps({"status": "Failure", "reason": "InternalError", "message": "failed to start exec: x"}),
            (Outcome.START_FAILED, None, True),
        ),
        (
            json.dumps(
                {
                    "status": "Failure",
                    "reason": "NonZeroExitCode",
                    "details": {"causes": [{"message": "no reason"}, {"reason": "ExitCode", "message": "42"}]},
                }
            ),
            (Outcome.EXITED, 42, True),
        ),
    ],
)
def test_a_status_proves_what_it_says_and_no_more(
    sandbox: Sandbox, faulty: Cluster, text: str, expected: tuple[Outcome, int | None, bool]
) -> None:
    sandbox.on_exec("*", faults.status(text))
    assert seen(faulty.run("example", argv=["true"], direct=True, timeout=SECONDS)) == expected


def test_after_output_the_words_of_a_failed_start_mean_a_loss(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.status(json.dumps({"status": "Failure", "message": "failed to start exec"})))
    assert faulty.run("example", argv=["echo", "ran"], direct=True, timeout=SECONDS).outcome is Outcome.LOST


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_characters_cut_over_messages_are_read_whole(sandbox: Sandbox, faulty: Cluster, size: int) -> None:
    sandbox.on_exec("*", faults.cut_messages(size))
    text = "aä€𝄞" * 50
    result = faulty.run("example", argv=["printf", "%s", text], timeout=SECONDS)
    assert result.stdout == text


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(out=st.binary(min_size=1, max_size=300), err=st.binary(min_size=1, max_size=300), size=st.integers(1, 60))
def test_any_bytes_cut_in_any_way_arrive_on_their_channel(
    sandbox: Sandbox, faulty: Cluster, out: bytes, err: bytes, size: int
) -> None:
    sandbox.clear_faults()
    sandbox.on_exec("*", faults.cut_messages(size))
    octal = ["".join(f"\\{byte:03o}" for byte in data) for data in (out, err)]
    result = faulty.run("example", f"printf '{octal[0]}'; printf '{octal[1]}' >&2", timeout=SECONDS)
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code) == (out, err, 0)


@pytest.mark.parametrize(
    "fault",
    [
        faults.empty_message(),
        faults.empty_message(1),
        faults.empty_message(3),
        faults.unknown_channel(),
        faults.server_close_message(),
    ],
)
def test_messages_without_meaning_change_nothing(sandbox: Sandbox, faulty: Cluster, fault: faults.Fault) -> None:
    sandbox.on_exec("*", fault)
    result = faulty.run("example", MARK, timeout=SECONDS)
    assert (seen(result), result.stdout, result.stderr) == ((Outcome.EXITED, 7, True), "one\n", "two\n")


def test_a_message_of_ten_mebibytes_is_taken(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.oversized_message(10))
    result = faulty.run("example", "true", timeout=SECONDS)
    assert (len(result.stdout_bytes), result.exit_code) == (10 * 1024 * 1024, 0)


def test_a_message_larger_than_any_exec_message_is_refused_loudly(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.oversized_message(17))
    result = faulty.run("example", "true", timeout=SECONDS)
    assert seen(result) == (Outcome.LOST, None, False)
    assert "larger than any exec message" in str(result.reason)


def test_a_flood_arrives_whole(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.flood(50_000_000))
    result = faulty.run("example", "echo end", timeout=100)
    assert len(result.stdout_bytes) == 50_000_004
    assert result.stdout_bytes.endswith(b"end\n")


def test_a_silent_server_is_left_at_the_deadline(sandbox: Sandbox, faulty: Cluster) -> None:
    stalled = faults.stall()
    sandbox.on_exec("*", stalled)
    started = time.monotonic()
    result = faulty.run("example", "true", timeout=0.5)
    stalled.release()
    assert result.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - started < SECONDS


def test_a_server_that_takes_no_input_does_not_keep_output_back(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.stop_reading_stdin())
    result = faulty.run("example", argv=["seq", "200000"], stdin=b"x" * 5_000_000, direct=True, timeout=SECONDS)
    # Input that was sent and not read makes the server's close a reset, which may destroy the tail: then it is said so.
    assert seen(result) in [(Outcome.EXITED, 0, True), (Outcome.LOST, None, False)]
    numbers = "".join(f"{number}\n" for number in range(1, 200_001))
    assert numbers.startswith(result.stdout)
    assert len(result.stdout) > 100_000
    assert result.stdout == numbers or result.outcome is Outcome.LOST


# Subprotocols -------------------------------------------------------------------------------------------------------


def offers(sandbox: Sandbox, since: int) -> list[list[str]]:
    """Give what each exec request offered, from the request with that number on."""
    return [list(found.subprotocols) for found in sandbox.requests[since:] if "/exec" in found.path]


V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


@pytest.mark.parametrize("code", [403, 400])
@pytest.mark.parametrize(("refused", "accepted"), [(V5, V4), (V4, V5)])
def test_a_server_that_refuses_the_list_gets_each_alone_and_is_remembered(
    sandbox: Sandbox, faulty: Cluster, code: int, refused: str, accepted: str
) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol(refused, code=code))
    since = len(sandbox.requests)
    assert faulty.run("example", MARK, timeout=SECONDS).exit_code == 7
    assert offers(sandbox, since) == [[V5, V4], *([[V4], [V5]] if accepted == V5 else [[V4]])]
    since = len(sandbox.requests)
    assert faulty.run("example", MARK, timeout=SECONDS).exit_code == 7
    assert offers(sandbox, since) == [[accepted]]


def test_what_was_remembered_is_forgotten_when_it_stops_working(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol(V5))
    assert faulty.run("example", "true", timeout=SECONDS).ok
    sandbox.clear_faults()
    sandbox.on_exec("*", faults.refuse_subprotocol(V4))
    assert faulty.run("example", "true", timeout=SECONDS).ok


def test_a_server_that_takes_no_subprotocol_is_given_up_with_a_reason(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse_subprotocol([V4, V5]))
    with pytest.raises(KexecError) as caught:
        faulty.run("example", "true", timeout=SECONDS)
    assert "subprotocol" in str(caught.value)


@pytest.fixture(scope="module")
def old_server() -> Iterator[Sandbox]:
    with Sandbox(old_server=True) as found:
        yield found


def test_an_old_server_speaks_v4_and_takes_input_all_the_same(old_server: Sandbox) -> None:
    with Cluster(kubeconfig=old_server.kubeconfig) as cluster:
        assert cluster.run("example", MARK, timeout=SECONDS).exit_code == 7
        result = cluster.run("example", argv=["wc", "-c"], stdin=b"x" * 300_000, timeout=SECONDS)
        assert result.stdout.split() == ["300000"]
        assert cluster.run("example", "exit 3", stdin=b"unread" * 100_000, timeout=SECONDS).exit_code == 3


def test_input_without_a_supervisor_is_refused_where_it_cannot_be_ended(old_server: Sandbox) -> None:
    with Cluster(kubeconfig=old_server.kubeconfig) as cluster:
        since = len(old_server.requests)
        with pytest.raises(KexecError, match="cannot be ended") as caught:
            cluster.run("example", argv=["cat"], stdin="x", direct=True, timeout=SECONDS)
        assert "--direct" in str(caught.value)
        assert offers(old_server, since) == [[V5]]


@pytest.mark.parametrize("server", ["old_server", "sandbox"])
def test_a_run_with_input_has_a_second_exec_beside_it(server: str, request: pytest.FixtureRequest) -> None:
    place: Sandbox = request.getfixturevalue(server)
    with Cluster(kubeconfig=place.kubeconfig) as cluster:
        since = len(place.requests)
        assert cluster.run("example", argv=["cat"], stdin="x", timeout=SECONDS).stdout == "x"
        assert offers(place, since) == [[V5, V4]] * 2


# Refusals -----------------------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed_and_its_host_is_named(sandbox: Sandbox, faulty: Cluster) -> None:
    elsewhere = faults.refuse(302, headers={"Location": "https://user:pw@evil.example/login?t=1"})
    sandbox.on_exec("*", elsewhere)
    with pytest.raises(ApiError, match=r"redirect \(302\) to evil\.example") as caught:
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert "pw" not in str(caught.value)
    sandbox.on_request("GET", "/pods/example", elsewhere)
    with pytest.raises(ApiError, match=r"evil\.example"):
        faulty.run("example", "true", timeout=SECONDS)


@pytest.mark.parametrize(
    ("code", "body", "kind", "words"),
    [
        (401, '{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}', Unauthorized, "credentials"),
        (403, '{"status":"Failure","reason":"Forbidden","message":"pods \\"x\\" is forbidden: "}', Forbidden, "create"),
        (404, '{"status":"Failure","reason":"NotFound","message":"pods \\"x\\" not found"}', PodNotFound, "no pod"),
        (500, "it broke", ApiError, "it broke"),
        (502, "<html><body>Bad Gateway</body></html>", ApiError, "HTML page"),
        (503, "", ApiError, "HTTP 503"),
        (200, "<!DOCTYPE html><title>Log in</title>", ApiError, "HTML page"),
        (426, "Upgrade required", ApiError, "Upgrade"),
        (431, "", ApiError, "too long"),
        (429, "slow down", ApiError, "busy"),
    ],
)
def test_a_refused_upgrade_is_one_sentence_and_one_next_step(
    sandbox: Sandbox, faulty: Cluster, code: int, body: str, kind: type[KexecError], words: str
) -> None:
    sandbox.on_exec("*", faults.refuse(code, body))
    with pytest.raises(kind) as caught:
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert words in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_a_refusal_without_a_length_is_still_told(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(500, "gone wrong", content_length=False))
    with pytest.raises(ApiError, match="HTTP 500"):
        faulty.run("example", "true", container="main", timeout=SECONDS)


def test_a_server_that_hangs_up_at_the_upgrade_is_unreachable(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(101, headers={"Connection": "close"}))
    with pytest.raises(KexecError):
        faulty.run("example", "true", container="main", timeout=SECONDS)


# Reads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_a_read_waits_as_long_as_a_busy_server_asks(sandbox: Sandbox, faulty: Cluster, code: int) -> None:
    sandbox.on_request("GET", "/pods/example", faults.refuse(code, headers={"Retry-After": "1"}), times=1)
    started = time.monotonic()
    assert faulty.run("example", "echo through", timeout=SECONDS).stdout == "through\n"
    assert time.monotonic() - started >= 1


def test_a_server_that_asks_for_more_patience_than_there_is_is_told(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_request("GET", "/pods/example", faults.refuse(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ApiError, match="HTTP 429"):
        faulty.run("example", "true", timeout=SECONDS)


def test_an_exec_is_never_tried_again_by_itself(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.refuse(503, "not now"))
    since = len(sandbox.requests)
    with pytest.raises(ApiError, match="HTTP 503"):
        faulty.run("example", "true", container="main", timeout=SECONDS)
    assert len(offers(sandbox, since)) == 1


def test_a_list_is_read_page_after_page(sandbox: Sandbox, faulty: Cluster) -> None:
    since = len(sandbox.requests)
    names = [pod.name for pod in faulty._link.api.list_pods("default", page=3)]
    assert {"example", "multi", "web-4", "tools"} <= set(names)
    assert len(names) == len(set(names))
    assert len([found for found in sandbox.requests[since:] if "continue=" in found.path]) >= 2


def test_a_page_token_that_expired_begins_the_list_anew(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_request("GET", "continue=", faults.refuse(410, '{"status":"Failure","reason":"Expired"}'))
    names = [pod.name for pod in faulty._link.api.list_pods("default", page=3)]
    assert {"example", "web-4"} <= set(names)


def test_rights_that_miss_create_are_told_by_that_word(sandbox: Sandbox) -> None:
    with pytest.raises(Forbidden, match="create pods/exec"):
        run("example", "true", container="main", context="sandbox-getonly", kubeconfig=sandbox.kubeconfig)


def test_a_second_namespace_is_reached_by_its_name(sandbox: Sandbox, faulty: Cluster) -> None:
    pods = faulty.pods("shop")
    assert pods
    assert faulty.run(pods[0].name, "echo in shop", namespace="shop").stdout == "in shop\n"


def test_a_note_names_the_other_containers_as_kubectl_does(faulty: Cluster) -> None:
    with pytest.raises(CommandNotStarted):
        faulty.run("done", "true", container="main").check()


def test_a_server_that_is_gone_is_unreachable(sandbox: Sandbox) -> None:
    other = Sandbox()
    other.start()
    cluster = Cluster(kubeconfig=other.kubeconfig)
    assert cluster.run("example", "true").ok
    other.close()
    with pytest.raises(ClusterUnreachable, match="nothing listens"):
        cluster.run("example", "true", timeout=SECONDS)
    cluster.close()
