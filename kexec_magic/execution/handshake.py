"""What is asked for when an exec is opened: the command, the streams, and the subprotocols to offer."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from kexec_magic.cluster.targets import Target
from kexec_magic.wire.channels import Subprotocol

__all__ = ["Attempt", "Command", "exec_path"]


@dataclass(frozen=True, slots=True)
class Command:
    """What one exec asks of the server: `argv` to the letter, whether it wants stdin, and whether a terminal."""

    argv: tuple[str, ...]
    stdin: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One handshake to make: the subprotocols to offer, best first, and the command that suits all of them."""

    offer: tuple[Subprotocol, ...]
    command: Command


def exec_path(target: Target, command: Command) -> str:
    """Give the path and query of an exec, every value percent-encoded.

    False parameters are left out: a server takes an empty value for true (apimachinery runtime/conversion.go). With a
    terminal there is no stderr to ask for (cri-streaming remotecommand: both are refused or the second is dropped).
    The names were checked when the target was resolved, so that none of them can add a path or a query.
    """
    query = [f"command={quote(word, safe='', errors='surrogateescape')}" for word in command.argv]
    if target.container:
        query.append(f"container={quote(target.container, safe='')}")
    if command.stdin:
        query.append("stdin=true")
    query += ["stdout=true", "tty=true" if command.tty else "stderr=true"]
    return f"/api/v1/namespaces/{quote(target.namespace)}/pods/{quote(target.pod)}/exec?{'&'.join(query)}"
