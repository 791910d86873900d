"""Sandboxes for the tests of the sandbox, and a plain client's way to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kexec_magic.sandbox import Sandbox
from tests.sandbox.plain import Access


@pytest.fixture(scope="session")
def old_sandbox() -> Iterator[Sandbox]:
    """A sandbox that plays Kubernetes 1.20."""
    with Sandbox(old_server=True) as found:
        yield found


@pytest.fixture(scope="session")
def old_access(old_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Access:
    return Access.read(old_sandbox.kubeconfig, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="session")
def shared_access(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Access:
    return Access.read(shared_sandbox.kubeconfig, tmp_path_factory.mktemp("access"))


@pytest.fixture
def access(sandbox: Sandbox, shared_access: Access) -> Access:
    """The way to a sandbox without faults."""
    return shared_access


@pytest.fixture(scope="session")
def plain_sandbox() -> Iterator[Sandbox]:
    """A sandbox that isolates nothing, as where the kernel refuses."""
    with Sandbox(isolate=False) as found:
        yield found


@pytest.fixture(scope="session")
def plain_access(plain_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Access:
    return Access.read(plain_sandbox.kubeconfig, tmp_path_factory.mktemp("plain"))


@pytest.fixture
def kubeconfig(sandbox: Sandbox) -> Path:
    return sandbox.kubeconfig
