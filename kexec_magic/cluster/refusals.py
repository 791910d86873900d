"""From an HTTP refusal, of a REST read or of an upgrade, to one of our errors: what happened, and what to do next.

Source: the bodies that API servers 1.20 and 1.36 send; kubernetes registry/core/pod/strategy.go (containers);
apiserver endpoints/handlers/responsewriters/errors.go (forbidden).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from kexec_magic.errors import (
    ApiError,
    ContainerNotFound,
    Forbidden,
    KexecError,
    PodNotFound,
    PodNotRunning,
    TargetError,
    Unauthorized,
)
from kexec_magic.wire.status import parse_status

__all__ = ["refusal"]

_MAX_SHOWN = 300
_CANNOT = re.compile(r'cannot (\w+) resource "([^"]+)"')
_USER = re.compile(r'User "([^"]+)"')
_CONTAINER_OF = re.compile(r"container (\S+) is not valid for pod")
_CHOOSE = re.compile(r"choose one of: \[([^\]]*)\]")
_NO_POD = re.compile(r'pods "[^"]*" not found')
_NO_CONTAINER = re.compile(r'container not found \("([^"]*)"\)')


def refusal(
    code: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    server: str,
    who: str,
    namespace: str,
    pod: str | None,
    container: str | None = None,
) -> KexecError:
    """Say what an answer other than the one that was hoped for means.

    Args:
        code: The HTTP status.
        who: What kind of credentials were sent, in words.
        pod: None for a list of pods.
        container: None or '' where none was asked for.
    """
    status = parse_status(body)
    message = _shown(status.message if status else body.decode("utf-8", "replace"))
    reason = status.reason if status else ""
    if 300 <= code < 400:
        where = urlsplit(headers.get("Location") or headers.get("location") or "").netloc.rpartition("@")[2]
        return ApiError(
            f"{server} answered with a redirect ({code}) to {where or 'nowhere'}, which is not followed",
            code=code,
            hint="credentials are sent to the kubeconfig's server alone; correct server there, or log in to the proxy",
        )
    if code == 401:
        return Unauthorized(
            f"{server} does not accept the credentials: {who}",
            code=code,
            reason=reason,
            hint="they may have expired; log in again as you do for kubectl, then run the cell again",
        )
    if code == 403 and status is not None:
        return _forbidden(message, reason, namespace)
    if pod is not None:
        found = _about_pod(code, message, namespace=namespace, pod=pod, container=container)
        if found is not None:
            return found
    return ApiError(
        f"{server} answered with HTTP {code}: {message or 'nothing more'}",
        code=code,
        reason=reason,
        hint=_advice(code, status is not None),
    )


def _forbidden(message: str, reason: str, namespace: str) -> Forbidden:
    cannot, user = _CANNOT.search(message), _USER.search(message)
    if cannot:
        who = f"user {user[1]!r}" if user else "this user"
        text = f"{who} may not {cannot[1]} {cannot[2]} in namespace {namespace!r}"
    else:
        if not message.rstrip().endswith(("forbidden", "forbidden:")):
            # An admission webhook, or a policy, in its own words.
            return Forbidden(
                message, code=403, reason=reason, hint="the cluster's own policy says so; ask who keeps it"
            )
        # Servers from 1.35 on refuse an exec in these words, without the verb, to users who lack `create`.
        text = f"{message.rstrip(': ')}: the right to create pods/exec is missing in namespace {namespace!r}"
    return Forbidden(
        text,
        code=403,
        reason=reason,
        hint="a Role needs get and create on pods/exec, get and list on pods; the README has one to paste",
    )


def _about_pod(code: int, message: str, *, namespace: str, pod: str, container: str | None) -> TargetError | None:
    if code == 404:
        if f'namespaces "{namespace}" not found' in message:
            return TargetError(f"there is no namespace {namespace!r}", hint="another one is -n NAME")
        # A server that does not know the path says so too, in other words.
        return PodNotFound(pod, namespace=namespace) if _NO_POD.search(message) else None
    if "does not have a host assigned" in message:
        return PodNotRunning(pod, phase="Pending", detail="no node was found for it yet", hint=_look(pod, namespace))
    chosen = _CHOOSE.search(message)
    if code == 400 and chosen:
        return ContainerNotFound(container or "", pod=pod, choices=chosen[1].split())
    if code == 400 and _CONTAINER_OF.search(message):
        return ContainerNotFound(container or "", pod=pod)
    missing = _NO_CONTAINER.search(message)
    if missing:
        return PodNotRunning(
            pod,
            phase="not running",
            detail=f"container {missing[1]!r} has ended or not begun",
            hint=_look(pod, namespace),
        )
    return None


def _look(pod: str, namespace: str) -> str:
    return f"`kubectl describe pod {pod} -n {namespace}` tells more; nothing ran"


def _advice(code: int, is_kubernetes: bool) -> str:
    if code in (414, 431):
        return "the command is too long for the server, or a proxy before it; send the long part as input after `--`"
    if code == 429:
        return "the server is busy; wait a little and run the cell again"
    if code in (502, 503, 504):
        return "the API server, or the node's kubelet behind it, is not available; try again in a moment"
    if code == 404:
        return "is there a path in the kubeconfig's server that should not be there?"
    if code in (200, 400, 405, 426) and not is_kubernetes:
        return "a proxy in front of the API server may not let WebSockets through"
    return "`-v` shows the requests that were made"


def _shown(text: str) -> str:
    flat = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    if flat.lower().startswith(("<!doctype", "<html")):
        return "an HTML page, which is not from an API server"
    return flat if len(flat) <= _MAX_SHOWN else flat[:_MAX_SHOWN] + "…"
