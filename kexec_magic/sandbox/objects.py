"""What the API serves besides pods, and where: namespaces, the node, and the workloads that own or select the pods."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from kexec_magic.sandbox.cluster import Cluster
from kexec_magic.sandbox.pods import NODE, metadata

__all__ = ["RESOURCES", "Resource", "list_objects"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object and its place in the API."""

    kind: str
    plural: str
    group: str = ""
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def qualified(self) -> str:
        """Its name in messages: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RESOURCES = {
    (found.group, found.plural): found
    for found in (
        Resource("Pod", "pods", short=("po",)),
        Resource("Namespace", "namespaces", namespaced=False, short=("ns",)),
        Resource("Node", "nodes", namespaced=False, short=("no",)),
        Resource("Service", "services", short=("svc",)),
        Resource("Event", "events", short=("ev",)),
        Resource("Deployment", "deployments", "apps", short=("deploy",)),
        Resource("ReplicaSet", "replicasets", "apps", short=("rs",)),
        Resource("StatefulSet", "statefulsets", "apps", short=("sts",)),
        Resource("DaemonSet", "daemonsets", "apps", short=("ds",)),
        Resource("Job", "jobs", "batch"),
    )
}


def list_objects(resource: Resource, cluster: Cluster) -> list[dict[str, Any]]:
    """Give all objects of a kind, in a server's order: by namespace, then by name."""
    maker = _MAKERS.get(resource.kind)
    found = maker(cluster) if maker else []
    return sorted(found, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))


def _pods(cluster: Cluster) -> list[dict[str, Any]]:
    return [pod.manifest() for pod in cluster.pods]


def _namespaces(cluster: Cluster) -> list[dict[str, Any]]:
    names = sorted({pod.namespace for pod in cluster.pods} | {"default", "shop", "kube-system"})
    body = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    labels = {name: {"kubernetes.io/metadata.name": name} for name in names}
    return [_object("Namespace", "v1", name, "", cluster, labels[name]) | body for name in names]


def _nodes(cluster: Cluster) -> list[dict[str, Any]]:
    if cluster.node_ready:
        told = {"status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    else:
        # As the node controller writes it (kubernetes pkg/controller/nodelifecycle).
        silence = "Kubelet stopped posting node status."
        told = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": silence}
    ready = {"type": "Ready", **told}
    status = {"conditions": [ready], "nodeInfo": {"kubeletVersion": "v1.36.2", "operatingSystem": "linux"}}
    return [_object("Node", "v1", NODE, "", cluster) | {"spec": {}, "status": status}]


def _services(cluster: Cluster) -> list[dict[str, Any]]:
    def service(name: str, namespace: str, selector: dict[str, str], port: int) -> dict[str, Any]:
        ports = [{"protocol": "TCP", "port": port, "targetPort": port}]
        spec = {"selector": selector, "ports": ports, "clusterIP": "10.96.0.10", "type": "ClusterIP"}
        return _object("Service", "v1", name, namespace, cluster) | {"spec": spec, "status": {"loadBalancer": {}}}

    return [service("web", "default", {"app": "web"}, 80), service("api", "shop", {"app": "api"}, 8080)]


def _deployments(cluster: Cluster) -> list[dict[str, Any]]:
    return [_workload("Deployment", "web", "default", {"app": "web"}, cluster)]


def _replica_sets(cluster: Cluster) -> list[dict[str, Any]]:
    owner = _deployments(cluster)[0]["metadata"]
    found = _workload("ReplicaSet", "web-6d4b9c7f8", "default", {"app": "web"}, cluster)
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner["name"], "uid": owner["uid"]}
    found["metadata"]["ownerReferences"] = [reference | {"controller": True, "blockOwnerDeletion": True}]
    return [found]


def _stateful_sets(cluster: Cluster) -> list[dict[str, Any]]:
    return [_workload("StatefulSet", "api", "shop", {"app": "api"}, cluster)]


_MAKERS = {
    "Pod": _pods,
    "Namespace": _namespaces,
    "Node": _nodes,
    "Service": _services,
    "Deployment": _deployments,
    "ReplicaSet": _replica_sets,
    "StatefulSet": _stateful_sets,
}


def _workload(kind: str, name: str, namespace: str, labels: dict[str, str], cluster: Cluster) -> dict[str, Any]:
    count = sum(pod.namespace == namespace and labels.items() <= pod.labels.items() for pod in cluster.pods)
    container = {"name": "main", "image": "docker.io/library/busybox:local", "command": ["tail", "-f", "/dev/null"]}
    spec = {
        "replicas": count,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), count)
    found = _object(kind, "apps/v1", name, namespace, cluster, labels)
    return found | {"spec": spec, "status": {"observedGeneration": 1, **counts}}


def _object(
    kind: str, api_version: str, name: str, namespace: str, cluster: Cluster, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    # Made anew for every request, it must be the same object each time; the pods' references name its uid.
    uid = next(
        (
            pod.owner["uid"]
            for pod in cluster.pods
            if pod.owner and (pod.owner["kind"], pod.owner["name"]) == (kind, name)
        ),
        str(uuid.uuid5(cluster.identity, f"{kind}/{namespace}/{name}")),
    )
    meta = metadata(name, namespace, labels or {}, uid, cluster.created)
    return {"kind": kind, "apiVersion": api_version, "metadata": meta}
