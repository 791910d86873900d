"""The REST reads: versions, discovery, objects and lists of them, and logs.

Source: kubernetes.io/docs/reference/using-api; messages as the real server words them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from kexec_magic.sandbox.cluster import Cluster
from kexec_magic.sandbox.objects import RESOURCES, Resource, list_objects
from kexec_magic.sandbox.pods import Pod
from kexec_magic.sandbox.selection import (
    ExpiredTokenError,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
    take_page,
)
from kexec_magic.sandbox.statuses import failure
from kexec_magic.sandbox.tables import make_table
from kexec_magic.sandbox.users import Action

__all__ = ["Answer", "Target", "parse_target", "read_discovery", "read_log", "read_objects"]

_TABLE = "as=Table"
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result."
    " You can start a new list without the continue parameter."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and the JSON object that goes with it."""

    code: int
    content: dict[str, Any] | str
    """A string is sent as plain text."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a path below /api or /apis names."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def action(self, verb: str) -> Action:
        """Give what a user needs to be allowed."""
        resource = self.resource.plural + (f"/{self.subresource}" if self.subresource else "")
        namespace = self.namespace
        if self.resource.kind == "Namespace":
            # A namespace counts as within itself (apiserver's requestinfo.go).
            namespace = self.name
        return Action(verb, resource, namespace, self.resource.group, self.name)

    @property
    def details(self) -> dict[str, Any]:
        """What a Status says about it."""
        found = {"name": self.name} if self.name else {}
        if self.resource.group:
            found["group"] = self.resource.group
        return {**found, "kind": self.resource.plural}


def parse_target(path: str) -> Target | None:
    """Read a path; None if the server has nothing there."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1] if len(parts) > 1 else "", parts[3:])
    if parts[:2] != ["api", "v1"] and not (parts[0] == "apis" and parts[2:3] == ["v1"]):
        return None
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest or (group, rest[0]) not in RESOURCES or len(rest) > 3:
        return None
    if len(rest) == 3 and rest[0::2] not in (["pods", "exec"], ["pods", "log"]):
        return None
    return Target(RESOURCES[group, rest[0]], namespace, *rest[1:])


def read_objects(target: Target, cluster: Cluster, query: MultiMapping[str], accept: str) -> Answer:
    """Get one object or a list."""
    resource = target.resource
    found = list_objects(resource, cluster)
    if target.namespace:
        found = [one for one in found if one["metadata"].get("namespace", "") == target.namespace]
    if target.name:
        return _read_one(target, found, accept)
    try:
        rules = (
            parse_label_selector(query.get("labelSelector", "")),
            parse_field_selector(query.get("fieldSelector", ""), resource.kind),
        )
        found = [one for one in found if all(rule(one) for rule in rules)]
        page = take_page(found, int(query.get("limit", "0") or 0), query.get("continue", ""), str(cluster.identity))
    except ExpiredTokenError:
        return Answer(410, failure(410, "Expired", _EXPIRED))
    except SelectorError as exc:
        return Answer(400, failure(400, "BadRequest", str(exc)))
    except ValueError as exc:
        return Answer(400, failure(400, "BadRequest", str(exc)))
    meta: dict[str, Any] = {"resourceVersion": "1"}
    if page.token:
        meta |= {"continue": page.token, "remainingItemCount": page.remaining}
    if _TABLE in accept:
        return Answer(200, make_table(resource, page.items, meta))
    # In a list the objects say neither kind nor version: the list has said it.
    items = [{key: value for key, value in one.items() if key not in ("kind", "apiVersion")} for one in page.items]
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
    return Answer(200, {**head, "metadata": meta, "items": items})


def read_log(pod: Pod | None, target: Target, query: MultiMapping[str]) -> Answer:
    """Give a container's log: a few lines that every container has written."""
    if pod is None:
        return _not_found(target)
    container = query.get("container") or pod.containers[0]
    if container not in pod.containers:
        message = f"container {container} is not valid for pod {pod.name}"
        return Answer(400, failure(400, "BadRequest", message))
    lines = [f"{pod.created} {container}: {what}\n" for what in ("starting", "ready", "waiting for work")]
    tail = query.get("tailLines", "")
    return Answer(200, "".join(lines[-int(tail) :] if tail.isdigit() and int(tail) else lines))


def _not_found(target: Target) -> Answer:
    message = f'{target.resource.qualified} "{target.name}" not found'
    return Answer(404, failure(404, "NotFound", message, target.details))


def _read_one(target: Target, found: list[dict[str, Any]], accept: str) -> Answer:
    one = next((one for one in found if one["metadata"]["name"] == target.name), None)
    if one is None:
        return _not_found(target)
    if _TABLE in accept:
        return Answer(200, make_table(target.resource, [one], {"resourceVersion": "1"}))
    return Answer(200, one)


def read_discovery(path: str, *, old_server: bool) -> Answer | None:
    """Answer what a client asks before it knows the server; None for any other path."""
    if path == "/version":
        minor, patch = ("20", "2") if old_server else ("36", "2")
        version = {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.{patch}", "platform": "linux/amd64"}
        return Answer(200, version)
    if path == "/api":
        return Answer(200, {"kind": "APIVersions", "versions": ["v1"]})
    groups = sorted({group for group, _ in RESOURCES if group} | {"authorization.k8s.io"})
    if path == "/apis":
        return Answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups]})
    if path == "/api/v1":
        return Answer(200, _resource_list("", "v1"))
    if path.startswith("/apis/") and path.removesuffix("/v1").removeprefix("/apis/") in groups:
        name = path.removesuffix("/v1").removeprefix("/apis/")
        return Answer(200, _resource_list(name, f"{name}/v1") if path.endswith("/v1") else _group(name))
    return None


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource_list(group: str, version: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["create", "delete", "get", "list"] if resource.kind == "Pod" else ["get", "list"],
            "shortNames": list(resource.short),
        }
        for resource in RESOURCES.values()
        if resource.group == group
    ]
    if not group:
        exec_options = {"kind": "PodExecOptions", "verbs": ["create", "get"]}
        found.append({"name": "pods/exec", "singularName": "", "namespaced": True, **exec_options})
    if group == "authorization.k8s.io":
        kind = "SelfSubjectAccessReview"
        found.append(
            {"name": f"{kind.lower()}s", "singularName": "", "namespaced": False, "kind": kind, "verbs": ["create"]}
        )
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}
