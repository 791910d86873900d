"""What the server knows: its pods and their containers, the faults that are due, and every request that came."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from kexec_magic.sandbox.containers import Container, Node
from kexec_magic.sandbox.faults import Fault
from kexec_magic.sandbox.pods import Pod, make_pods, timestamp
from kexec_magic.sandbox.records import Record
from kexec_magic.sandbox.streams import ExecStream

__all__ = ["Cluster", "Rule"]


@dataclass(slots=True)
class Rule:
    """Faults, what they apply to, and how often still (None: always)."""

    applies: Callable[..., bool]
    faults: tuple[Fault, ...]
    times: int | None = None


@dataclass(slots=True)
class Cluster:
    """What the request handlers share: the pods, their containers, the faults and the record."""

    old_server: bool
    identity: uuid.UUID = field(default_factory=uuid.uuid4)
    created: str = field(default_factory=timestamp)
    node: Node | None = None
    pods: list[Pod] = field(default_factory=list)
    containers: dict[tuple[str, str, str], Container] = field(default_factory=dict)
    exec_rules: list[Rule] = field(default_factory=list)
    request_rules: list[Rule] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    lock: threading.Lock = field(default_factory=threading.Lock)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    streams: set[ExecStream] = field(default_factory=set)
    node_ready: bool = True

    def find(self, namespace: str, name: str) -> Pod | None:
        """Give the pod of that name."""
        return next((pod for pod in self.pods if (pod.namespace, pod.name) == (namespace, name)), None)

    def populate(self, node: Node) -> None:
        """Put the sandbox's pods on a node."""
        self.node = node
        for pod in make_pods():
            self.add(pod)

    def check(self, pod: Pod) -> None:
        """Make sure that the node can run a pod as it was asked for.

        Raises:
            ValueError: If it cannot.
        """
        assert self.node is not None
        for number, spec in enumerate(pod.specs.values()):
            self.node.isolation.check(spec, f"spec.containers[{number}]")

    def add(self, pod: Pod) -> None:
        """Take in a pod and give it its containers, if it runs."""
        self.pods.append(pod)
        if pod.is_running:
            for name in pod.containers:
                self._place(pod, name)

    def remove(self, pod: Pod) -> None:
        """Forget a pod and end what runs in it."""
        self.pods.remove(pod)
        self._end(pod)

    def restart(self, pod: Pod, name: str, *, exit_code: int, reason: str) -> None:
        """Let a container's main process end, and with it all others in it; another container takes its place."""
        self.containers[pod.namespace, pod.name, name].close()
        pod.restart(name, exit_code=exit_code, reason=reason)
        self._place(pod, name)

    def fail(self, pod: Pod, reason: str, message: str) -> None:
        """Let the kubelet end a pod, which stays to tell why."""
        pod.fail(reason, message)
        self._end(pod)

    def lose_node(self) -> None:
        """Let the node's kubelet be heard of no more: its streams end without a word, its containers run on."""
        self.node_ready = False
        for stream in self.streams:
            stream.drop()

    def _end(self, pod: Pod) -> None:
        for name in pod.containers:
            container = self.containers.pop((pod.namespace, pod.name, name), None)
            if container is not None:
                container.close()

    def _place(self, pod: Pod, name: str) -> None:
        assert self.node is not None
        self.containers[pod.namespace, pod.name, name] = self.node.container(pod.name, name, pod.specs[name])

    def exec_faults(self, argv: list[str]) -> list[Fault]:
        """Take the faults that are due for an exec."""
        return self._take(self.exec_rules, argv)

    def request_faults(self, method: str, path: str) -> list[Fault]:
        """Take the faults that are due for any request."""
        return self._take(self.request_rules, method, path)

    def _take(self, rules: list[Rule], *subject: object) -> list[Fault]:
        taken: list[Fault] = []
        with self.lock:
            for rule in rules:
                if rule.times != 0 and rule.applies(*subject):
                    rule.times = rule.times - 1 if rule.times is not None else None
                    taken += [fault.for_one_exec() for fault in rule.faults]
        return taken
