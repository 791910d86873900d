"""What a pod's own document explains of a run's end: the shapes that servers give, literally, and anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexec_magic.cluster.nodes import parse_node
from kexec_magic.cluster.pods import Pod, parse_pod
from kexec_magic.execution.inquest import explain

START = "2026-11-25T10:42:14Z"
ENDED = {"exitCode": 3, "reason": "Error", "startedAt": START, "finishedAt": "2026-11-25T10:42:22Z", "containerID": "c"}
RUNNING = {"running": {"startedAt": START}}


def pod(
    *, state: dict[str, Any] = RUNNING, last: dict[str, Any] | None = None, uid: str = "u", **status: object
) -> Pod:
    """Give a pod with one container."""
    container = {"name": "main", "state": state, "lastState": last or {}, "restartCount": 0}
    return parse_pod(
        {
            "metadata": {"name": "web-0", "uid": uid, "creationTimestamp": START},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running", "containerStatuses": [container], **status},
        }
    )


def reason(after: Pod, before: Pod | None = None, *, container: str = "main") -> str | None:
    found = explain(after, container, before=before or pod(), seconds=5)
    assert found is None or found.explains
    return None if found is None else found.text


def test_a_pod_that_runs_as_before_explains_nothing() -> None:
    assert reason(pod()) is None


def test_an_end_that_was_known_before_the_run_explains_nothing() -> None:
    assert reason(pod(last={"terminated": ENDED}), pod(state={"terminated": ENDED})) is None
    assert reason(pod(last={"terminated": ENDED}), pod(last={"terminated": ENDED})) is None


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (RUNNING, " and was started again"),
        (
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            " and waits to be started again: CrashLoopBackOff",
        ),
        ({"terminated": {**ENDED, "containerID": "d"}}, ""),
    ],
)
def test_an_end_in_the_run_is_told_with_what_came_after(state: dict[str, Any], then: str) -> None:
    said = f"container 'main' ended with exit code 3 at 10:42:22 UTC{then}"
    assert reason(pod(state=state, last={"terminated": ENDED})) == said
    # Where the server chose the container, it was the only one.
    assert reason(pod(state=state, last={"terminated": ENDED}), container="") == said


def test_a_pod_of_another_uid_is_another_pod() -> None:
    assert reason(pod(uid="v")) == "pod 'web-0' was deleted, and another one made by its name at 10:42:14 UTC"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"reason": "Evicted", "message": "low on memory\x1b[2J"}, "pod 'web-0' was evicted: low on memory\ufffd[2J"),
        ({"reason": "Terminated", "message": ""}, "pod 'web-0' has failed (Terminated)"),
        ({"reason": "DeadlineExceeded", "message": "too long"}, "pod 'web-0' has failed (DeadlineExceeded): too long"),
    ],
)
def test_a_pod_that_failed_says_why(status: dict[str, Any], said: str) -> None:
    assert reason(pod(phase="Failed", **status)) == said


def test_a_pod_that_is_being_deleted_says_for_whom_where_it_knows() -> None:
    document: dict[str, Any] = {
        "metadata": {"name": "web-0", "uid": "u", "deletionTimestamp": "2026-11-25T10:42:52Z"},
        "status": {"phase": "Running"},
    }
    assert reason(parse_pod(document)) == "pod 'web-0' is being deleted"
    document["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: x"}
    ]
    assert reason(parse_pod(document)) == "pod 'web-0' is being deleted: EvictionByEvictionAPI: Eviction API: x"


def test_without_a_clock_and_without_an_earlier_look_nothing_is_claimed() -> None:
    assert explain(pod(last={"terminated": ENDED}), "main", before=None, seconds=5) is None


KEYS = [
    *("metadata", "status", "spec", "conditions", "type", "name", "phase", "reason", "containerStatuses", "state"),
    *("lastState", "terminated", "running", "finishedAt", "startedAt", "exitCode", "restartCount"),
    *("creationTimestamp", "deletionTimestamp"),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([START, START[:-1], "Ready"])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(document=st.dictionaries(st.sampled_from(["metadata", "status", "spec"]), JSON), container=st.text(max_size=5))
def test_no_document_is_too_odd_to_be_read(document: dict[str, Any], container: str) -> None:
    found = parse_pod(document)
    explain(found, container, before=None, seconds=5)
    explain(found, container, before=pod(), seconds=5)
    assert parse_node(document).ready in (True, False)
