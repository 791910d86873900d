"""A node as the API server describes it, reduced to whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Node", "parse_node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A node. `detail` says why it is not ready, or ''."""

    name: str
    ready: bool
    detail: str = ""


def parse_node(document: Mapping[str, Any]) -> Node:
    """Read a v1 Node; without a Ready condition it is not ready.

    The status is 'Unknown' where the kubelet has not reported for a while, by default 40 s (kubernetes
    pkg/controller/nodelifecycle, node-monitor-grace-period): until then a dead node is said to be ready.
    """
    metadata, status = (found if isinstance(found := document.get(key), dict) else {} for key in ("metadata", "status"))
    conditions = status.get("conditions")
    told: list[Any] = conditions if isinstance(conditions, list) else []
    ready = next((one for one in told if isinstance(one, dict) and one.get("type") == "Ready"), {})
    detail = ready.get("message") or ready.get("reason") or "it has told nothing of itself"
    is_ready = ready.get("status") == "True"
    return Node(name=str(metadata.get("name") or ""), ready=is_ready, detail="" if is_ready else str(detail))
