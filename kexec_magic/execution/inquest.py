"""Why a run ended as it did: a second look at its pod, and at its node, once it was killed or lost.

Nothing in a run's own end says so: whatever takes a container away, its commands end with 137 (recorded), and whatever
takes a connection away, it ends without a word.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.pods import ContainerState, Pod
from kexec_magic.cluster.targets import Target
from kexec_magic.errors import Forbidden, KexecError, TargetError
from kexec_magic.execution.result import printable

__all__ = ["INQUEST_SECONDS", "LOOK_FIRST", "Finding", "explain", "inquire"]

# The longest that a result waits for its reason, in seconds.
INQUEST_SECONDS = 3.0

# What of it is for the reads: that one got no answer has to be told in time, too.
_READ_SECONDS = 2.5

# The kubelet looks at its containers once a second (kubernetes pkg/kubelet/kubelet.go, plegRelistPeriod) and then tells
# the API server: 137 arrives up to 1.3 s before its reason [measured on 1.20].
_PAUSE = 0.25

# The API tells times in whole seconds, as does an HTTP Date.
_ROUNDING = timedelta(seconds=2)

_MAX_TEXT = 300

LOOK_FIRST = "the command may have done all, part or nothing: look before you run it again"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a second look found.

    Attributes:
        text: In a few words, to follow what is known of the end.
        explains: Whether that is why the run ended.
        hint: What to do about it; None where the end itself advises best.
    """

    text: str
    explains: bool
    hint: str | None = None


def inquire(
    api: ClusterApi,
    target: Target,
    *,
    before: Pod | None,
    seconds: float,
    lost: bool,
    patient: bool,
    over: threading.Event,
) -> Finding:
    """Look at a run's pod, and find out why the run ended.

    Args:
        before: The pod as it was when the run began; None where it was not looked at.
        seconds: How long ago that was.
        lost: Whether the end itself is not known: then the pod's node may have to do with it.
        patient: Look again until there is a reason, for as long as a result waits for it.
        over: Set when nobody waits for it any more.
    """
    started = time.monotonic()
    until = started + _READ_SECONDS
    while True:
        try:
            pod = api.get_pod(target.namespace, target.pod, timeout=_left(until))
        except TargetError:
            return Finding(f"pod {target.pod!r} is gone: it was deleted", True, _gone("pod"))
        except Forbidden:
            return Finding("why is not known, since this user may not get pods", False)
        except KexecError as error:
            return Finding(error.message, False)
        found = explain(pod, target.container, before=before, seconds=seconds + time.monotonic() - started)
        if found is not None:
            return found
        if not patient or time.monotonic() + _PAUSE >= until or over.wait(_PAUSE):
            break
    if not lost:
        return Finding("", False)
    return _explain_by_node(api, pod, until) or Finding(f"pod {pod.name!r} still runs", False)


def explain(pod: Pod, container: str, *, before: Pod | None, seconds: float) -> Finding | None:
    """Say what became of a pod in the course of a run, if it explains the run's end.

    Args:
        container: The container that it ran in; '' where the server chose it.
        before: The pod as it was when the run began; None where it was not looked at: then times are compared.
        seconds: How long ago that was.
    """
    # A pod that is only as old as the run may be the one that it was meant for.
    if before.uid != pod.uid if before is not None else _is_within(pod.created_at, pod, seconds, slack=-_ROUNDING):
        text = f"pod {pod.name!r} was deleted, and another one made by its name {_at(pod.created_at)}"
        return Finding(text, True, _gone("pod"))
    if pod.phase == "Failed" and pod.reason:
        what = "was evicted" if pod.reason == "Evicted" else f"has failed ({pod.reason})"
        return Finding(f"pod {pod.name!r} {what}{_colon(pod.message)}", True, _gone("pod"))
    if pod.terminating:
        return Finding(f"pod {pod.name!r} is being deleted{_colon(pod.disruption)}", True, _gone("pod"))
    name = container or (pod.containers[0] if len(pod.containers) == 1 else "")
    state = pod.states.get(name, ContainerState())
    ended = _end(state)
    if ended is None:
        return None
    if before is None:
        is_new = _is_within(ended.finished_at, pod, seconds, slack=_ROUNDING)
    else:
        earlier = _end(before.states.get(name, ContainerState()))
        is_new = earlier is None or earlier.container_id != ended.container_id
    if not is_new:
        return None
    return Finding(f"container {name!r} {_ending(ended)}{_what_then(state)}", True, _gone("container"))


def _end(state: ContainerState) -> ContainerState | None:
    """Give how a container ended last, if ever."""
    return state if state.state == "terminated" else state.last


def _explain_by_node(api: ClusterApi, pod: Pod, until: float) -> Finding | None:
    try:
        node = api.get_node(pod.node, timeout=_left(until)) if pod.node else None
    except KexecError:
        return None  # most users of pods may not look at nodes
    if node is None or node.ready:
        return None
    hint = f"it may still run there, unreachable; {LOOK_FIRST}"
    return Finding(f"node {node.name!r} is not ready{_colon(node.detail)}", True, hint)


def _is_within(moment: datetime | None, pod: Pod, seconds: float, *, slack: timedelta) -> bool:
    """Whether something happened in the course of the run, by the server's own clock."""
    if moment is None or pod.read_at is None:
        return False
    return pod.read_at - moment <= timedelta(seconds=seconds) + slack


def _ending(ended: ContainerState) -> str:
    if ended.reason == "OOMKilled":
        return f"ran out of memory {_at(ended.finished_at)} (OOMKilled)"
    return f"ended with exit code {ended.exit_code} {_at(ended.finished_at)}"


def _what_then(state: ContainerState) -> str:
    match state.state:
        case "running":
            return " and was started again"
        case "waiting":
            return f" and waits to be started again{_colon(state.reason)}"
    return ""


def _at(moment: datetime | None) -> str:
    return f"at {moment:%H:%M:%S} UTC" if moment is not None else "meanwhile"


def _colon(text: str) -> str:
    return f": {printable(text.strip())[:_MAX_TEXT]}" if text.strip() else ""


def _gone(what: str) -> str:
    return f"what ran in the {what} ended with it; {LOOK_FIRST}"


def _left(until: float) -> float:
    return max(0.001, until - time.monotonic())
