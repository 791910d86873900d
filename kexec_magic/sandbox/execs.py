"""From an HTTP request to a running exec: who may, which container, which subprotocol; or the refusal.

Source: the order of checks is that of kube-apiserver (authorization, then registry/core/pod/strategy.go) and kubelet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from multidict import MultiMapping

from kexec_magic.sandbox.faults import Refusal
from kexec_magic.sandbox.statuses import encode_json, failure
from kexec_magic.sandbox.subprotocols import Subprotocol, choose_subprotocol
from kexec_magic.sandbox.users import Action, User

if TYPE_CHECKING:
    from kexec_magic.sandbox.pods import Pod

__all__ = ["ExecRequest", "authorize_exec", "check_exec", "offered_subprotocols", "refuse"]

_JSON = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """What the query asks for."""

    argv: list[str]
    container: str
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def parse(cls, query: MultiMapping[str]) -> ExecRequest:
        """Read a query."""
        flags = {name: _is_true(query.getall(name, [])) for name in ("stdin", "stdout", "stderr", "tty")}
        return cls(list(query.getall("command", [])), query.get("container", ""), **flags)


def offered_subprotocols(header: str | None) -> list[str]:
    """Give the names in the first Sec-WebSocket-Protocol header; a server reads no other."""
    return [name.strip() for name in header.split(",")] if header is not None else []


def refuse(code: int, reason: str, message: str, details: dict[str, object] | None = None) -> Refusal:
    """Give the API server's refusal of a request."""
    return Refusal(code, encode_json(failure(code, reason, message, details)) + b"\n", _JSON)


def authorize_exec(user: User, namespace: str, pod: str, *, old_server: bool) -> Refusal | None:
    """Decide whether a user may exec over a WebSocket."""
    details: dict[str, object] = {"name": pod, "kind": "pods"}
    action = Action("get", "pods/exec", namespace, name=pod)
    if not user.may(action):
        refusal = refuse(403, "Forbidden", action.refusal(user), details)
        # The authorizer sits before all handlers and sends this header, which they do not (recorded).
        return replace(refusal, headers={**refusal.headers, "X-Content-Type-Options": "nosniff"})
    # Since 1.35 a second check asks for `create`, and its refusal does not say so.
    if not old_server and not user.may(Action("create", "pods/exec", namespace, name=pod)):
        return refuse(403, "Forbidden", f'pods "{pod}" is forbidden: ', details)
    return None


def check_exec(
    pod: Pod | None, name: str, request: ExecRequest, offered: list[str], *, upgrade: bool, old_server: bool
) -> Subprotocol | Refusal:
    """Decide whether a request that is authorized can be served."""
    if pod is None:
        return refuse(404, "NotFound", f'pods "{name}" not found', {"name": name, "kind": "pods"})
    container = request.container
    if not container and len(pod.containers) > 1:
        names = " ".join(pod.containers)
        message = f"a container name must be specified for pod {name}, choose one of: [{names}]"
        return refuse(400, "BadRequest", message)
    if container and container not in pod.containers:
        return refuse(400, "BadRequest", f"container {container} is not valid for pod {name}")
    if not pod.is_scheduled:
        return refuse(400, "BadRequest", f"pod {name} does not have a host assigned")
    if not upgrade:
        return refuse(400, "BadRequest", "Upgrade request required")
    # From here on the kubelet answers.
    if not (request.stdin or request.stdout or request.stderr):
        return Refusal(400, b"you must specify at least 1 of stdin, stdout, stderr", _TEXT)
    if not pod.is_running:
        found = container or pod.containers[0]
        return Refusal(500, f'container not found ("{found}")'.encode(), _TEXT)
    subprotocol = choose_subprotocol(offered, old_server=old_server)
    if subprotocol is None:
        return Refusal(403, content_length=False)
    return subprotocol


def _is_true(values: list[str]) -> bool:
    """Read a flag: given and neither "0" nor "false", so that an empty one is true.

    Source: apimachinery runtime/conversion.go, Convert_Slice_string_To_bool.
    """
    return bool(values) and values[0].lower() not in ("0", "false")
