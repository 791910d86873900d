"""What the sandbox remembers of the requests that it has served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kexec_magic.sandbox import Sandbox, faults
from kexec_magic.sandbox.records import MAX_REQUESTS, Record, RecordedRequest
from tests.sandbox import plain
from tests.sandbox.plain import V4, V5, Access


def test_every_request_is_recorded_with_its_answer(sandbox: Sandbox, access: Access) -> None:
    plain.get(access, "/version?x=1", token="bobtoken")
    plain.run(access, "example", "true", subprotocols=[V5, V4])
    plain.get(access, "/version", token="wrong")
    plain.get(access, "/api/v1/namespaces/default/pods/nope")
    assert sandbox.requests == [
        ("GET", "/version?x=1", [], "bob", 200),
        ("GET", plain.exec_path("example", "true"), [V5, V4], "admin", 101),
        ("GET", "/version", [], None, 401),
        ("GET", "/api/v1/namespaces/default/pods/nope", [], "admin", 404),
    ]


def test_a_path_is_recorded_as_it_was_received(sandbox: Sandbox, access: Access) -> None:
    path = "/api/v1/namespaces/default/pods/ex%61mple/exec?command=%C3%A9+x&command=a%20b"
    plain.get(access, path)
    assert [(found.path, found.status) for found in sandbox.requests] == [(path, 400)]


def test_a_refusal_by_a_fault_is_recorded(sandbox: Sandbox, access: Access) -> None:
    sandbox.on_request("GET", "/version", faults.refuse(429))
    sandbox.on_exec("*", faults.refuse_subprotocol(V5))
    plain.get(access, "/version")
    with plain.upgrade(access, plain.exec_path("example", "true"), [V5]):
        assert [found.status for found in sandbox.requests] == [429, 403]


def test_a_request_without_an_answer_has_no_status_yet(sandbox: Sandbox, access: Access) -> None:
    stall = faults.stall(unanswered=True)
    sandbox.on_request("GET", "/version", stall)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(plain.get, access, "/version")
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        assert [found.status for found in sandbox.requests] == [None]
        stall.release()
        assert waiting.result(plain.TIMEOUT).status == 200
    assert [found.status for found in sandbox.requests] == [200]


def test_what_was_given_out_does_not_change_the_record(sandbox: Sandbox, access: Access) -> None:
    plain.get(access, "/version")
    sandbox.requests.clear()
    assert len(sandbox.requests) == 1
    sandbox.forget_requests()
    assert sandbox.requests == []


def test_of_very_many_requests_the_last_are_kept() -> None:
    record = Record()
    numbers = [record.add(RecordedRequest("GET", f"/{number}", [], None)) for number in range(MAX_REQUESTS + 2)]
    for number in numbers:
        record.answer(number, 200)
    kept = record.read()
    assert (len(kept), kept[0].path, kept[-1].path) == (MAX_REQUESTS, "/2", f"/{MAX_REQUESTS + 1}")
    assert {found.status for found in kept} == {200}
