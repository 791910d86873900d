"""Pods that only these tests use, so that whatever process is found in them is theirs; and a look at all of those."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config

from kexec_magic import Cluster
from tests.conftest import Place

__all__ = ["Found", "Kind", "created", "having", "look", "spec", "wait_until_gone"]

Kind = str
"""'ash' (busybox), 'tools' (bash, dash, python3), 'readonly' (nobody, root read-only), 'bare' (sh and little else)."""

# As the cluster's `tools` pod has them: the node's own programs.
_NODE_FOLDERS = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64"}
_FEW = {"sh": "dash", "cat": "cat", "grep": "grep", "sleep": "sleep", "ls": "ls", "true": "true", "yes": "yes"}
_START_SECONDS = 60.0

# Every process but the zombies and what looks: its id, its state, and then environment and command line, up to NULs.
# Only what a shell has built in, and cat. The first field after the name's bracket is the state (proc(5)).
_LOOK = """
for folder in /proc/[0-9]*; do
  [ "$folder" != /proc/1 ] && [ "$folder" != "/proc/$$" ] && read -r stat <"$folder/stat" || continue
  set -- ${stat##*) }
  [ "$1" = Z ] || [ "$1" = X ] || [ "$2" = "$$" ] && continue
  printf '\\036%s %s %s\\037' "${folder#/proc/}" "$1" "$2"
  cat "$folder/cmdline"
  printf '\\037'
  cat "$folder/environ"
done 2>/dev/null
# The last process may have ended while it was looked at.
true
"""


@dataclass(frozen=True)
class Found:
    """A live process in a pod."""

    pid: int
    state: str
    parent: int
    argv: str
    environment: frozenset[str]


def spec(kind: Kind, place: Place) -> dict[str, Any]:
    """Give the spec of a pod of one kind."""
    container: dict[str, Any] = {
        "name": "main",
        "image": "docker.io/library/busybox:local",
        "imagePullPolicy": "Never",
        "command": ["tail", "-f", "/dev/null"],
    }
    found: dict[str, Any] = {
        "hostNetwork": True,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "nodeName": "localhost",
        "containers": [container],
    }
    if kind == "readonly":
        container["securityContext"] = {"runAsUser": 65534, "readOnlyRootFilesystem": True}
    elif kind in ("tools", "bare") and place.sandbox is not None:
        container["image"] = f"docker.io/library/{kind}:local"
        del container["command"]
    elif kind in ("tools", "bare"):
        path = "/usr/bin:/usr/sbin:/bin:/sbin" if kind == "tools" else "/few"
        container |= {"command": ["/usr/bin/sleep", "infinity"], "env": [{"name": "PATH", "value": path}]}
        container["volumeMounts"] = [
            {"name": name, "mountPath": f"/{name}", "readOnly": True} for name in _NODE_FOLDERS
        ]
        found["volumes"] = [{"name": name, "hostPath": {"path": path}} for name, path in _NODE_FOLDERS.items()]
        if kind == "bare":
            container["volumeMounts"].append({"name": "few", "mountPath": "/few"})
            found["volumes"].append({"name": "few", "emptyDir": {}})
    return found


@contextmanager
def created(place: Place, cluster: Cluster, kind: Kind, name: str) -> Iterator[str]:
    """Have a pod of a kind for as long as the block runs; give its name."""
    with having(place, cluster, name, spec(kind, place)):
        if kind == "bare" and place.sandbox is None:
            for program, target in _FEW.items():
                argv = ["/usr/bin/ln", "-s", f"/usr/bin/{target}", f"/few/{program}"]
                cluster.run(name, argv=argv, direct=True).check()
        yield name


@contextmanager
def having(place: Place, cluster: Cluster, name: str, spec: dict[str, Any]) -> Iterator[client.CoreV1Api]:
    """Have a pod for as long as the block runs, unless that deletes it; give the official client for its server."""
    with warnings.catch_warnings():
        # The official client leaves sockets to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        with config.new_client_from_config(str(place.kubeconfig)) as api_client:
            api = client.CoreV1Api(api_client)
            body: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
            api.create_namespaced_pod(place.namespace, body)
            try:
                _wait_until_running(cluster, name)
                yield api
            finally:
                try:
                    api.delete_namespaced_pod(name, place.namespace, grace_period_seconds=0)
                except client.ApiException as error:
                    if error.status != 404:
                        raise


def _wait_until_running(cluster: Cluster, name: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while not any(pod.name == name and pod.phase == "Running" for pod in cluster.pods()):
        assert time.monotonic() < until, f"pod {name} does not start"
        time.sleep(0.1)


def look(cluster: Cluster, pod: str) -> list[Found]:
    """Give the live processes of a pod, but for process 1 and what looks."""
    result = cluster.run(pod, argv=["sh", "-c", _LOOK], direct=True, timeout=20).check()
    return [_parsed(text) for text in result.stdout_bytes.decode(errors="replace").split("\x1e")[1:]]


def _parsed(text: str) -> Found:
    head, argv, environment = text.split("\x1f", 2)
    pid, state, parent = head.split()
    return Found(int(pid), state, int(parent), argv.replace("\0", " ").strip(), frozenset(environment.split("\0")))


def wait_until_gone(cluster: Cluster, pod: str, *, seconds: float) -> float:
    """Wait until nothing lives in a pod any more, however often one has to look; give the seconds that it took."""
    started = time.monotonic()
    while found := look(cluster, pod):
        passed = time.monotonic() - started
        assert passed < seconds, f"after {passed:.1f} s there still is {found}"
    return time.monotonic() - started
