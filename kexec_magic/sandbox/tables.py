"""Lists as kubectl prints them: the server chooses the columns.

Source: meta.k8s.io/v1 Table; kubernetes pkg/printers/internalversion.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kexec_magic.sandbox.objects import Resource

__all__ = ["make_table"]

_COLUMNS = {
    "Pod": ("Name", "Ready", "Status", "Restarts", "Age"),
    "Namespace": ("Name", "Status", "Age"),
    "Deployment": ("Name", "Ready", "Up-to-date", "Available", "Age"),
    "StatefulSet": ("Name", "Ready", "Age"),
    "Service": ("Name", "Type", "Cluster-IP", "Age"),
}


def make_table(resource: Resource, items: list[dict[str, Any]], meta: dict[str, Any]) -> dict[str, Any]:
    """Give the Table of some objects, with the metadata of the list."""
    names = _COLUMNS.get(resource.kind, ("Name", "Age"))
    columns = [
        {"name": name, "type": "string", "format": "name" if name == "Name" else "", "description": "", "priority": 0}
        for name in names
    ]
    rows = [{"cells": [_cell(name, one) for name in names], "object": _partial(one)} for one in items]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    return {**head, "columnDefinitions": columns, "rows": rows}


def _partial(one: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": one["metadata"]}


def _cell(name: str, one: dict[str, Any]) -> str:
    status = one.get("status", {})
    match name:
        case "Name":
            return str(one["metadata"]["name"])
        case "Ready":
            return _ready(one)
        case "Status":
            phase = str(status.get("reason") or status.get("phase", ""))
            return "Completed" if phase == "Succeeded" else phase
        case "Restarts":
            return str(sum(found["restartCount"] for found in status.get("containerStatuses", [])))
        case "Up-to-date" | "Available":
            return str(status.get("availableReplicas", 0))
        case "Type":
            return str(one["spec"]["type"])
        case "Cluster-IP":
            return str(one["spec"]["clusterIP"])
        case _:
            return _age(one["metadata"]["creationTimestamp"])


def _ready(one: dict[str, Any]) -> str:
    status = one["status"]
    if one.get("kind") != "Pod":
        return f"{status['readyReplicas']}/{one['spec']['replicas']}"
    ready = sum(found["ready"] for found in status.get("containerStatuses", []))
    return f"{ready}/{len(one['spec']['containers'])}"


def _age(timestamp: str) -> str:
    created = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    seconds = int((datetime.now(UTC) - created).total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"
