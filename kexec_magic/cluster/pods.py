"""A pod as the API server describes it, reduced to what a run needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

__all__ = ["ContainerState", "Pod", "parse_pod"]

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container's state: `state` is 'running', 'waiting', 'terminated' or '' where it is not told yet.

    `last` is how the container ended before it was started again; None where it was not. `container_id` is told of one
    that has ended.
    """

    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    restart_count: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = ""
    last: ContainerState | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `containers` are names in the order of its spec; `detail` says why it does not run, or ''.

    `reason` and `message` are the status's own, as of an eviction; `disruption` says why it is being taken away, or ''.
    `read_at` is the server's time of the answer, for comparison with the other times; None where it told none.
    """

    name: str
    namespace: str
    uid: str = ""
    created_at: datetime | None = None
    read_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    reason: str = ""
    message: str = ""
    disruption: str = ""
    node: str = ""
    ready: bool = False
    terminating: bool = False
    containers: tuple[str, ...] = ()
    init_containers: tuple[str, ...] = ()
    ephemeral_containers: tuple[str, ...] = ()
    default_container: str = ""
    states: Mapping[str, ContainerState] = field(default_factory=dict)
    detail: str = ""

    @property
    def all_containers(self) -> tuple[str, ...]:
        """Every container that a command can run in, ordinary ones first."""
        return self.containers + self.init_containers + self.ephemeral_containers


def parse_pod(document: Mapping[str, Any]) -> Pod:
    """Read a v1 Pod; what is missing in it is empty here."""
    metadata, spec, status = (_mapping(document.get(name)) for name in ("metadata", "spec", "status"))
    conditions = {_text(item.get("type")): item for item in _mappings(status.get("conditions"))}
    states = {
        _text(item.get("name")): _state(item)
        for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for item in _mappings(status.get(kind))
    }
    return Pod(
        name=_text(metadata.get("name")),
        namespace=_text(metadata.get("namespace")),
        uid=_text(metadata.get("uid")),
        created_at=_moment(metadata.get("creationTimestamp")),
        labels={key: _text(value) for key, value in _mapping(metadata.get("labels")).items()},
        phase=_text(status.get("phase")),
        reason=_text(status.get("reason")),
        message=_text(status.get("message")),
        disruption=_disruption(conditions.get("DisruptionTarget", {})),
        node=_text(spec.get("nodeName")),
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating=metadata.get("deletionTimestamp") is not None,
        containers=_names(spec.get("containers")),
        init_containers=_names(spec.get("initContainers")),
        ephemeral_containers=_names(spec.get("ephemeralContainers")),
        default_container=_text(_mapping(metadata.get("annotations")).get(_DEFAULT_CONTAINER)),
        states=states,
        detail=_detail(status, conditions, states),
    )


def _detail(
    status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]], states: Mapping[str, ContainerState]
) -> str:
    """Say why a pod is not running: its own word, else its containers', else the scheduler's."""
    own = _text(status.get("message")) or _text(status.get("reason"))
    if own:
        return own
    for name, state in states.items():
        if state.state == "waiting" and state.reason not in ("", "ContainerCreating", "PodInitializing"):
            return f"container {name!r} is waiting: {state.reason}"
        if state.state == "terminated":
            code = "" if state.exit_code is None else f" with exit code {state.exit_code}"
            return f"container {name!r} ended{code}" + (f" ({state.reason})" if state.reason else "")
    return _text(conditions.get("PodScheduled", {}).get("message"))


def _disruption(condition: Mapping[str, Any]) -> str:
    """Say who takes a pod away, from a condition that servers have since 1.26 (kubernetes.io, pod disruptions)."""
    if condition.get("status") != "True":
        return ""
    return ": ".join(filter(None, (_text(condition.get("reason")), _text(condition.get("message")))))


def _state(item: Mapping[str, Any]) -> ContainerState:
    restarts = item.get("restartCount")
    last = _one_state(_mapping(item.get("lastState")))
    return replace(
        _one_state(_mapping(item.get("state"))),
        restart_count=restarts if isinstance(restarts, int) else 0,
        last=last if last.state else None,
    )


def _one_state(states: Mapping[str, Any]) -> ContainerState:
    kind = next((name for name in ("running", "waiting", "terminated") if name in states), "")
    inner = _mapping(states.get(kind))
    exit_code = inner.get("exitCode")
    return ContainerState(
        state=kind,
        reason=_text(inner.get("reason")),
        message=_text(inner.get("message")),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        started_at=_moment(inner.get("startedAt")),
        finished_at=_moment(inner.get("finishedAt")),
        container_id=_text(inner.get("containerID")),
    )


def _moment(value: object) -> datetime | None:
    """Read a time as the API writes it, in UTC (RFC 3339); None where there is none."""
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _names(value: object) -> tuple[str, ...]:
    return tuple(_text(item.get("name")) for item in _mappings(value))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
