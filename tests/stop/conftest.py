"""Pods for the tests of stopping, and an old server beside the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kexec_magic import Cluster
from kexec_magic.sandbox import Sandbox
from tests.conftest import Place
from tests.stop.cells import Cell
from tests.stop.pods import Kind, created
from tests.stop.ways import Scene


@pytest.fixture(scope="session")
def old_place(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A sandbox that only speaks v4; on a real cluster there is only that."""
    if place.sandbox is None:
        yield place
        return
    with Sandbox(old_server=True) as sandbox:
        yield Place(sandbox.kubeconfig, "default", sandbox, "", "", tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="session")
def scene(place: Place, old_place: Place) -> Iterator[Callable[..., Scene]]:
    """Give a cell a pod that no other test uses at the time; pods are made at the first need and removed at the end."""
    found: dict[tuple[Kind, bool], tuple[Cluster, str]] = {}
    with ExitStack() as stack:

        def make(cell: Cell, kind: Kind | None = None) -> Scene:
            kind, where = kind or cell.pod, old_place if cell.old_server else place
            key = (kind, cell.old_server)
            if key not in found:
                looker = stack.enter_context(Cluster(kubeconfig=where.kubeconfig))
                name = f"stop-{kind}-{secrets.token_hex(4)}"
                found[key] = (looker, stack.enter_context(created(where, looker, kind, name)))
            looker, name = found[key]
            return Scene(cell, name, where, looker)

        yield make
