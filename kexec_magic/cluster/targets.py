"""From a name or a selector to one container of one pod."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from kexec_magic.cluster.api import ClusterApi
from kexec_magic.cluster.pods import Pod
from kexec_magic.errors import (
    ClusterError,
    ContainerNotFound,
    Forbidden,
    InvalidName,
    OptionError,
    PodNotFound,
    PodNotRunning,
    TargetAmbiguous,
    TargetError,
)

__all__ = ["Resolved", "Target", "explained", "resolve"]

# DNS-1123 subdomain and label (apimachinery util/validation): no name can add a path or a query to a URL.
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")

_POD_KINDS = ("pod", "pods", "po")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Where a command runs; `container` is '' where the server chooses it."""

    context: str
    namespace: str
    pod: str
    container: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.pod, self.container) if part)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found; `note` is a remark for the user, None where nothing was chosen for them.

    `pod` is what was read of it on the way; None where nothing had to be, or might be.
    """

    target: Target
    note: str | None = None
    pod: Pod | None = None


def resolve(
    api: ClusterApi,
    *,
    context: str,
    target: str | None,
    selector: str | None,
    namespace: str,
    container: str | None,
    timeout: float | None = None,
) -> Resolved:
    """Find the container that is meant.

    With pod and container given nothing is read, so that rights to pods/exec alone are enough; with the pod alone, a
    user who may not read it leaves the choice to the server.

    Args:
        target: A pod's name or `pod/NAME`; None with a selector.
        timeout: Seconds for each read; None leaves the default.

    Raises:
        TargetError: If the name or selector leads to no one container that runs.
        ClusterError: If the server does not answer, or refuses.
    """
    _check("namespace", namespace, _LABEL)
    if container is not None:
        _check("container", container, _LABEL)
    if target is None:
        pod = _only_match(api, selector or "", namespace, timeout)
        return _in_pod(pod, context=context, container=container)
    name = _pod_name(target)
    if container is not None:
        return Resolved(Target(context, namespace, name, container))
    try:
        pod = api.get_pod(namespace, name, timeout=timeout)
    except Forbidden:
        return Resolved(Target(context, namespace, name, ""))
    except PodNotFound:
        raise PodNotFound(name, namespace=namespace, choices=_close(api, namespace, name, timeout)) from None
    return _in_pod(pod, context=context, container=None)


def _pod_name(target: str) -> str:
    kind, slash, name = target.rpartition("/")
    if slash and kind in _POD_KINDS:
        target = name
    elif slash and re.fullmatch(r"[a-z.]+", kind):
        raise OptionError(
            f"{target!r} is a workload; kexec_magic runs in pods only, so far",
            hint=f"name a pod, or select one by label, as in `%%kexec -l app={name or 'NAME'}`",
        )
    elif any(character in target for character in "*?["):
        raise OptionError(
            f"{target!r} is a pattern; kexec_magic runs in one pod at a time, so far",
            hint="name a pod, or select one by label, as in `%%kexec -l app=NAME`",
        )
    _check("pod", target, _SUBDOMAIN)
    return target


def _check(kind: str, name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.match(name):
        raise InvalidName(kind, name)


def _only_match(api: ClusterApi, selector: str, namespace: str, timeout: float | None) -> Pod:
    pods = api.list_pods(namespace, label_selector=selector, timeout=timeout)
    if len(pods) != 1:
        raise TargetAmbiguous(selector, namespace=namespace, candidates=[pod.name for pod in pods])
    return pods[0]


def explained(api: ClusterApi, refused: TargetError, target: Target) -> TargetError:
    """Give a refusal that came from an exec with what a look at the pod adds: names that exist, or its state.

    A run with pod and container given begins without that look. Where it is not allowed the refusal stays as it is.
    """
    try:
        match refused:
            case PodNotFound(choices=()):
                names = _close(api, target.namespace, target.pod, None)
                return PodNotFound(target.pod, namespace=target.namespace, choices=names)
            case ContainerNotFound(choices=()):
                pod = api.get_pod(target.namespace, target.pod)
                return ContainerNotFound(target.container, pod=target.pod, choices=pod.all_containers)
            case PodNotRunning():
                _check_running(api.get_pod(target.namespace, target.pod))
    except PodNotRunning as found:
        return found
    except (ClusterError, PodNotFound):
        pass  # the first refusal is what there is to say
    return refused


def _close(api: ClusterApi, namespace: str, name: str, timeout: float | None) -> list[str]:
    """Give the names most like one that is not there; none where they may not be listed."""
    try:
        names = [pod.name for pod in api.list_pods(namespace, timeout=timeout)]
    except ClusterError:
        return []
    return difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]


def _in_pod(pod: Pod, *, context: str, container: str | None) -> Resolved:
    if container is not None and container not in pod.all_containers:
        raise ContainerNotFound(container, pod=pod.name, choices=pod.all_containers)
    _check_running(pod)
    chosen, note = (container, None) if container is not None else _default_container(pod)
    return Resolved(Target(context, pod.namespace, pod.name, chosen), note, pod)


def _check_running(pod: Pod) -> None:
    """Look at the phase as kubectl does before an exec: the server does not (kubectl cmd/exec/exec.go)."""
    if pod.phase not in ("Pending", "Succeeded", "Failed"):
        return
    if pod.phase == "Pending":
        advice = f"`kubectl describe pod {pod.name} -n {pod.namespace}` tells what it waits for; nothing ran"
    else:
        advice = f"`kubectl logs {pod.name} -n {pod.namespace}` shows what it said; nothing ran"
    raise PodNotRunning(pod.name, phase=pod.phase, detail=pod.detail, hint=advice)


def _default_container(pod: Pod) -> tuple[str, str | None]:
    """Choose as kubectl does: the annotation's, the only one, the first with a note that names all.

    Source: kubectl util/podcmd/podcmd.go (FindOrDefaultContainerByName, AllContainerNames).
    """
    if pod.default_container in pod.all_containers:
        return pod.default_container, None
    wrong = (
        f"the pod's annotation names a container {pod.default_container!r}, which it does not have; "
        if pod.default_container
        else ""
    )
    if len(pod.all_containers) == 1:
        return pod.containers[0], wrong.rstrip("; ") or None
    listed = [
        *pod.containers,
        *(f"{name} (ephem)" for name in pod.ephemeral_containers),
        *(f"{name} (init)" for name in pod.init_containers),
    ]
    return pod.containers[0], f'{wrong}Defaulted container "{pod.containers[0]}" out of: {", ".join(listed)}'
