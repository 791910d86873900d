"""What keeps the pods' commands away from the machine, and what cannot be had because of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kexec_magic.sandbox.specs import ContainerSpec

__all__ = ["Isolation"]


@dataclass(frozen=True, slots=True)
class Isolation:
    """Whether there is any, and of which kind."""

    isolated: bool
    reason: str = ""
    """Why not, if not."""
    user_namespace: bool = False

    def describe(self) -> str:
        """Say in one sentence what a command in a pod can reach."""
        if self.isolated:
            own = (
                "user, root, process and mount namespace"
                if self.user_namespace
                else "root, process and mount namespace"
            )
            return f"each container has a {own} of its own; the network is this machine's."
        return (
            "commands run on this machine as you, in the pod's folder, with nothing to hold them there"
            f" ({self.reason})."
        )

    def check(self, spec: ContainerSpec, path: str) -> None:
        """Make sure that a container, which the manifest has at this path, can be had.

        Raises:
            ValueError: If it cannot. Running it otherwise than it was asked for would prove nothing.
        """
        path += ".securityContext"
        if spec.is_read_only and not self.isolated:
            raise ValueError(f"{path}.readOnlyRootFilesystem: Forbidden: {self.describe()}")
        if spec.user is None:
            return
        if not self.isolated:
            raise ValueError(f"{path}.runAsUser: Forbidden: {self.describe()}")
        # One's own user namespace maps one user, and that is its root: else the root's files were not root's.
        if spec.user and (self.user_namespace or not _is_mapped(spec.user)):
            raise ValueError(f"{path}.runAsUser: Forbidden: the user namespace here has no user {spec.user}")


def _is_mapped(number: int) -> bool:
    """Tell whether there is such a user and such a group in the user namespace of this process."""
    for table in ("/proc/self/uid_map", "/proc/self/gid_map"):
        ranges = [[int(column) for column in line.split()] for line in Path(table).read_text().splitlines()]
        if not any(first <= number < first + size for first, _, size in ranges):
            return False
    return True
