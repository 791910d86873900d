"""The few things that a client may change: it can create and delete pods."""

from __future__ import annotations

import json

from kexec_magic.sandbox.cluster import Cluster
from kexec_magic.sandbox.pods import parse_pod
from kexec_magic.sandbox.reads import Answer, Target
from kexec_magic.sandbox.statuses import failure

__all__ = ["change_pods"]


def change_pods(cluster: Cluster, target: Target, verb: str, body: bytes) -> Answer:
    """Create or delete a pod. What is new runs at once; what is deleted is gone at once, its commands killed."""
    if verb == "create" and not target.name:
        return _create(cluster, target, body)
    if verb == "delete" and target.name and not target.subresource:
        return _delete(cluster, target)
    message = "the server does not allow this method on the requested resource"
    return Answer(405, failure(405, "MethodNotAllowed", message))


def _create(cluster: Cluster, target: Target, body: bytes) -> Answer:
    try:
        pod = parse_pod(json.loads(body), target.namespace)
        cluster.check(pod)
    except ValueError as exc:
        return Answer(422, failure(422, "Invalid", f"Pod is invalid: {exc}", target.details))
    details = {"name": pod.name, "kind": "pods"}
    if cluster.find(pod.namespace, pod.name):
        return Answer(409, failure(409, "AlreadyExists", f'pods "{pod.name}" already exists', details))
    cluster.add(pod)
    return Answer(201, pod.manifest())


def _delete(cluster: Cluster, target: Target) -> Answer:
    pod = cluster.find(target.namespace, target.name)
    if pod is None:
        return Answer(404, failure(404, "NotFound", f'pods "{target.name}" not found', target.details))
    cluster.remove(pod)
    return Answer(200, pod.manifest())
