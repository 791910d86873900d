"""Where the tests run: on the sandbox, or on the cluster that --kubeconfig names."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from kexec_magic.execution.cluster import Cluster
from kexec_magic.sandbox import Sandbox

# The same examples on every run: a red test stays red until it is mended.
settings.register_profile("stable", derandomize=True, deadline=None)
settings.load_profile("stable")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster", "running the tests marked `cluster` on a real Kubernetes")
    group.addoption("--kubeconfig", default="", help="its kubeconfig; without it these tests run on the sandbox")
    group.addoption("--namespace", default="default", help="the namespace there that holds the test pods")
    group.addoption("--pictures", action="store_true", help="let the browser tests renew the README's pictures")
    group.addoption("--no-rights-token", default="bobtoken", help="a token that may do nothing there")
    group.addoption(
        "--cluster-state",
        default="",
        help="for disruptive tests: the folder with that cluster's audit.log and NAME.pid",
    )
    group.addoption(
        "--cluster-start", default="", help="for disruptive tests: what starts servers of it that do not run"
    )
    group.addoption("--exec-only-token", default="execonlytoken", help="a token that may only use pods/exec there")


@dataclass(frozen=True)
class Place:
    """A server with the test pods on it. `sandbox` is None on a real cluster."""

    kubeconfig: Path
    namespace: str
    sandbox: Sandbox | None
    no_rights_token: str
    exec_only_token: str
    scratch: Path

    def with_token(self, token: str) -> Path:
        """Write a kubeconfig for the same server that brings a token instead of the client certificate."""
        config = self.read()
        config["users"] = [{"name": "token", "user": {"token": token}}]
        return self.write(f"token-{token}", config)

    def with_server(self, server: str) -> Path:
        """Write a kubeconfig with the same credentials for another server."""
        config = self.read()
        config["clusters"][0]["cluster"]["server"] = server
        return self.write("server", config)

    def read(self) -> dict[str, Any]:
        """Give the current context's kubeconfig as one document: one cluster, one user, one context, data inline."""
        loaded = yaml.safe_load(self.kubeconfig.read_text())
        context = next(c for c in loaded["contexts"] if c["name"] == loaded["current-context"])["context"]
        cluster = dict(next(c for c in loaded["clusters"] if c["name"] == context["cluster"])["cluster"])
        user = dict(next(u for u in loaded["users"] if u["name"] == context["user"])["user"])
        for entry, field in ((cluster, "certificate-authority"), (user, "client-certificate"), (user, "client-key")):
            if field in entry:
                content = (self.kubeconfig.parent / entry.pop(field)).read_bytes()
                entry[f"{field}-data"] = base64.b64encode(content).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "place", "cluster": cluster}],
            "users": [{"name": "token", "user": user}],
            "contexts": [
                {"name": "place", "context": {"cluster": "place", "user": "token", "namespace": self.namespace}}
            ],
            "current-context": "place",
        }

    def write(self, name: str, config: dict[str, Any]) -> Path:
        """Write a kubeconfig that only this user can read."""
        path = self.scratch / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server that tests marked `cluster` share."""
    option = request.config.getoption
    scratch = tmp_path_factory.mktemp("place")
    tokens = {"no_rights_token": option("--no-rights-token"), "exec_only_token": option("--exec-only-token")}
    if option("--kubeconfig"):
        path = Path(option("--kubeconfig")).resolve()
        yield Place(path, option("--namespace"), None, scratch=scratch, **tokens)
        return
    with Sandbox() as sandbox:
        yield Place(sandbox.kubeconfig, "default", sandbox, scratch=scratch, **tokens)


@pytest.fixture(scope="session")
def cluster(place: Place) -> Iterator[Cluster]:
    """A client of that server, kept for all tests that only run commands."""
    with Cluster(kubeconfig=place.kubeconfig) as found:
        yield found


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the tests that give it faults; use `sandbox`, which takes them back."""
    with Sandbox() as found:
        yield found


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without faults and with an empty record, whatever the test before did to it."""
    shared_sandbox.clear_faults()
    shared_sandbox.forget_requests()
    yield shared_sandbox
    shared_sandbox.clear_faults()


@pytest.fixture
def faulty(sandbox: Sandbox) -> Iterator[Cluster]:
    """A client of the sandbox that remembers nothing from other tests."""
    with Cluster(kubeconfig=sandbox.kubeconfig) as found:
        yield found
