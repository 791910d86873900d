"""The sandbox's pods: those of the project's test cluster, and a second namespace."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kexec_magic.sandbox.specs import ContainerSpec, parse_containers

__all__ = ["NODE", "Pod", "make_pods", "metadata", "parse_pod", "timestamp"]

NODE = "localhost"
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_HOST_IP = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container's main process ended; times as the API writes them."""

    exit_code: int
    reason: str
    started: str
    finished: str
    container_id: str

    def state(self) -> dict[str, Any]:
        """Give it as a container's state."""
        return {
            "terminated": {
                "exitCode": self.exit_code,
                "reason": self.reason,
                "startedAt": self.started,
                "finishedAt": self.finished,
                "containerID": f"containerd://{self.container_id}",
            }
        }


@dataclass(slots=True)
class Pod:
    """One pod and what the API says about it."""

    name: str
    namespace: str = "default"
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    containers: tuple[str, ...] = ("main",)
    image: str = "busybox"
    """That of the containers without a spec of their own."""
    specs: dict[str, ContainerSpec] = field(default_factory=dict)
    security_context: dict[str, Any] = field(default_factory=dict)
    phase: str = "Running"
    reason: str = ""
    message: str = ""
    owner: dict[str, Any] | None = None
    address: str = ""
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: str = field(default_factory=lambda: timestamp())
    container_ids: dict[str, str] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    terminations: dict[str, Termination] = field(default_factory=dict)
    """The last one of each container that has ended."""

    def __post_init__(self) -> None:
        self.specs = {name: self.specs.get(name, ContainerSpec(self.image)) for name in self.containers}
        for name in self.containers:
            self._start(name)
        if self.phase == "Succeeded":
            for name in self.containers:
                self._terminate(name, 0, "Completed")

    def restart(self, name: str, *, exit_code: int, reason: str) -> None:
        """Note that a container has ended and was started again."""
        self._terminate(name, exit_code, reason)
        self.restarts[name] = self.restarts.get(name, 0) + 1
        self._start(name)

    def fail(self, reason: str, message: str) -> None:
        """Note that the kubelet has killed all of it, and why."""
        self.phase, self.reason, self.message = "Failed", reason, message

    def _start(self, name: str) -> None:
        self.container_ids[name], self.started[name] = secrets.token_hex(32), timestamp()

    def _terminate(self, name: str, exit_code: int, reason: str) -> None:
        self.terminations[name] = Termination(
            exit_code, reason, self.started[name], timestamp(), self.container_ids[name]
        )

    @property
    def is_scheduled(self) -> bool:
        return self.phase != "Pending"

    @property
    def is_running(self) -> bool:
        return self.phase == "Running"

    def manifest(self) -> dict[str, Any]:
        """Give the v1 Pod."""
        meta = metadata(self.name, self.namespace, self.labels, self.uid, self.created)
        if self.annotations:
            meta["annotations"] = dict(self.annotations)
        if self.owner:
            meta["ownerReferences"] = [self.owner]
        spec: dict[str, Any] = {
            "containers": [self._container(name) for name in self.containers],
            "restartPolicy": "Always" if self.phase != "Succeeded" else "Never",
            "terminationGracePeriodSeconds": 1,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "enableServiceLinks": True,
            "priority": 0,
            "securityContext": self.security_context,
        }
        if self.is_scheduled:
            spec["nodeName"] = NODE
        else:
            spec["nodeSelector"] = {"nowhere": "true"}
        return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": self._status()}

    def _container(self, name: str) -> dict[str, Any]:
        spec = self.specs[name]
        return {
            "name": name,
            "image": spec.full_image,
            "command": ["true"] if self.phase == "Succeeded" else spec.command,
            **spec.shown,
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Never",
        }

    def _status(self) -> dict[str, Any]:
        if not self.is_scheduled:
            unscheduled = {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": self.created,
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            }
            return {"phase": self.phase, "conditions": [unscheduled], "qosClass": "BestEffort"}
        ready = "True" if self.is_running else "False"
        conditions = {"Initialized": "True", "Ready": ready, "ContainersReady": ready, "PodScheduled": "True"}
        if self.phase == "Failed":
            # All that an eviction leaves of a status (recorded from 1.20).
            return {"message": self.message, "phase": "Failed", "reason": self.reason, "startTime": self.created}
        return {
            "phase": self.phase,
            "conditions": [self._condition(kind, value) for kind, value in conditions.items()],
            "hostIP": _HOST_IP,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.created,
            "containerStatuses": [self._container_status(name) for name in self.containers],
            "qosClass": "BestEffort",
        }

    def _condition(self, kind: str, value: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": kind,
            "status": value,
            "lastProbeTime": None,
            "lastTransitionTime": self.created,
        }
        if value == "False":
            found["reason"] = "PodCompleted"
        return found

    def _container_status(self, name: str) -> dict[str, Any]:
        spec = self.specs[name]
        ended = self.terminations[name].state() if name in self.terminations else {}
        running = {"running": {"startedAt": self.started[name]}}
        return {
            "name": name,
            "state": running if self.is_running else ended,
            "lastState": ended if self.is_running else {},
            "ready": self.is_running,
            "restartCount": self.restarts.get(name, 0),
            "image": spec.full_image,
            "imageID": f"sha256:{uuid.uuid5(uuid.NAMESPACE_DNS, spec.image).hex * 2}",
            "containerID": f"containerd://{self.container_ids[name]}",
            "started": self.is_running,
        }


def make_pods() -> list[Pod]:
    """Give the pods that every sandbox has, in the order in which a server lists them."""
    default_container = {"kubectl.kubernetes.io/default-container": "side"}
    web = _owner("ReplicaSet", "web-6d4b9c7f8")
    api = _owner("StatefulSet", "api")
    pods = [
        Pod("done", labels={"app": "done"}, phase="Succeeded"),
        Pod("example", labels={"app": "example"}),
        Pod("multi", labels={"app": "multi"}, annotations=default_container, containers=("main", "side")),
        Pod("noshell", labels={"app": "noshell"}, image="noshell"),
        Pod("pending", labels={"app": "pending"}, phase="Pending"),
        Pod("tools", labels={"app": "tools"}, image="tools"),
        *(Pod(f"web-{number}", labels={"app": "web"}, owner=web) for number in range(1, 5)),
        *(_member("api", number, api) for number in range(2)),
        Pod("db-0", "shop", labels={"app": "db", "tier": "data"}),
    ]
    for number, pod in enumerate(pods, start=10):
        pod.address = f"10.244.0.{number}"
    return pods


def parse_pod(manifest: dict[str, Any], namespace: str) -> Pod:
    """Give the pod that a client asks for. It runs at once; what is heeded of its containers, `specs` says.

    Raises:
        ValueError: If it is not a pod, or something that is heeded is not valid.
    """
    try:
        meta, specs = manifest["metadata"], parse_containers(manifest["spec"])
        name, security_context = str(meta["name"]), dict(manifest["spec"].get("securityContext") or {})
    except (AttributeError, KeyError, TypeError) as exc:
        raise ValueError(f"not a Pod with a name and containers: {exc!r}") from exc
    if not specs:
        raise ValueError("spec.containers: Required value")
    for found in (name, *specs):
        if not _DNS_LABEL.fullmatch(found):
            raise ValueError(f'"{found}" must consist of lower case alphanumeric characters, "-" or "."')
    labels, annotations = dict(meta.get("labels") or {}), dict(meta.get("annotations") or {})
    return Pod(
        name,
        namespace,
        labels,
        annotations,
        tuple(specs),
        specs=specs,
        security_context=security_context,
        address="10.244.0.200",
    )


def metadata(name: str, namespace: str, labels: dict[str, str], uid: str, created: str) -> dict[str, Any]:
    """Give an object's metadata; without a namespace for what has none."""
    found: dict[str, Any] = {"name": name}
    if namespace:
        found["namespace"] = namespace
    found |= {"uid": uid, "resourceVersion": "1", "creationTimestamp": created}
    if labels:
        found["labels"] = dict(labels)
    return found


def _member(name: str, number: int, owner: dict[str, Any]) -> Pod:
    labels = {"app": name, "tier": "backend", "statefulset.kubernetes.io/pod-name": f"{name}-{number}"}
    return Pod(f"{name}-{number}", "shop", labels=labels, owner=owner)


def _owner(kind: str, name: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": str(uuid.uuid4())}
    return reference | {"controller": True, "blockOwnerDeletion": True}


def timestamp() -> str:
    """Give the time as the API writes it, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
