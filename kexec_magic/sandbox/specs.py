"""What a container is made of: the sandbox's images, and what a client may ask for besides.

Source: kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1; messages as validation words them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ContainerSpec", "parse_containers"]

# Image name to what a container of it holds (roots.py).
_IMAGES = ("noshell", "tools", "bare")
_COMMANDS = {
    "busybox": ["tail", "-f", "/dev/null"],
    "tools": ["sleep", "infinity"],
    "noshell": ["/bin/sleep"],
    "bare": ["sleep", "2147483647"],
}
_MAX_ID = 2**31 - 1  # IsValidUserID of apimachinery's validation


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a pod."""

    image: str = "busybox"
    """What it holds, by the name of that in roots.py."""
    image_name: str = ""
    """As a client gave it; empty for that of the sandbox's own pods."""
    user: int | None = None
    """The id of its processes' user and group; None is root without anybody having said so."""
    is_read_only: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    """What the API shows as it was given."""

    @property
    def full_image(self) -> str:
        """The image's name for the API."""
        return self.image_name or f"docker.io/library/{self.image}:local"

    @property
    def command(self) -> list[str]:
        """What its process 1 runs."""
        return _COMMANDS[self.image]


def parse_containers(spec: dict[str, Any]) -> dict[str, ContainerSpec]:
    """Read a pod's containers: name, image, `env`, and of `securityContext` the user and a root that is read-only.

    Raises:
        ValueError: If one of these fields is not valid, or is one that the sandbox cannot serve.
        KeyError, TypeError: If it is no list of containers at all.
    """
    common = spec.get("securityContext") or {}
    specs: dict[str, ContainerSpec] = {}
    for number, found in enumerate(spec["containers"]):
        name, path = str(found["name"]), f"spec.containers[{number}]"
        if name in specs:
            raise ValueError(f'{path}.name: Duplicate value: "{name}"')
        specs[name] = _parse_container(found, common, path)
    return specs


def _parse_container(found: dict[str, Any], common: dict[str, Any], path: str) -> ContainerSpec:
    given = str(found.get("image") or "")
    own = found.get("securityContext") or {}
    is_read_only = own.get("readOnlyRootFilesystem") or False
    if not isinstance(is_read_only, bool):
        raise ValueError(f"{path}.securityContext.readOnlyRootFilesystem: Invalid value: must be a boolean")
    user = _parse_user(common, "spec")
    if own.get("runAsUser") is not None:
        user = _parse_user(own, path)
    return ContainerSpec(
        image=next((kind for kind in _IMAGES if kind in given), "busybox"),
        image_name=given,
        user=user,
        is_read_only=is_read_only,
        environment=dict(_parse_variable(one, f"{path}.env[{n}]") for n, one in enumerate(found.get("env") or [])),
        shown={name: found[name] for name in ("env", "securityContext") if found.get(name)},
    )


def _parse_user(context: dict[str, Any], path: str) -> int | None:
    user = context.get("runAsUser")
    if user is None:
        return None
    if not isinstance(user, int) or isinstance(user, bool) or not 0 <= user <= _MAX_ID:
        message = f"must be between 0 and {_MAX_ID}, inclusive"
        raise ValueError(f"{path}.securityContext.runAsUser: Invalid value: {user!r}: {message}")
    return user


def _parse_variable(found: dict[str, Any], path: str) -> tuple[str, str]:
    name, value = found.get("name"), found.get("value", "")
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ValueError(f"{path}.name: Invalid value: {name!r}: must not be empty or contain '='")
    if found.get("valueFrom"):
        raise ValueError(f"{path}.valueFrom: Forbidden: the sandbox knows values only")
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{path}.value: Invalid value: {value!r}: must be a string")
    return name, value
