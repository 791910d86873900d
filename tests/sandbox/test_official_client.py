"""The official Python client's `stream()` against the sandbox."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from kexec_magic.sandbox import Sandbox

kubernetes = pytest.importorskip("kubernetes", reason="the official client is in the dev extra")


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Any]:
    """An API object of its own for each test: `stream()` patches the client that it is given."""
    client = kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))
    with warnings.catch_warnings():
        # It leaves sockets to the garbage collector, above all where the upgrade was refused.
        warnings.simplefilter("ignore", ResourceWarning)
        with client:
            yield kubernetes.client.CoreV1Api(client)
        gc.collect()


def _exec(api: Any, pod: str, *argv: str, **options: Any) -> Any:
    from kubernetes.stream import stream

    given = {"stdout": True, "stderr": True, "stdin": False, "tty": False} | options
    return stream(api.connect_get_namespaced_pod_exec, pod, "default", command=list(argv), **given)


def test_pods_are_listed_as_objects(api: Any) -> None:
    pods = api.list_namespaced_pod("default", label_selector="app=web").items
    assert [pod.metadata.name for pod in pods] == [f"web-{number}" for number in range(1, 5)]
    assert all(pod.status.container_statuses[0].ready for pod in pods)
    assert pods[0].status.start_time == pods[0].metadata.creation_timestamp


def test_a_command_gives_its_output(api: Any) -> None:
    assert _exec(api, "example", "echo", "hello") == "hello\n"


def test_the_exit_code_arrives_beside_both_streams(api: Any) -> None:
    script = "echo out; echo err >&2; exit 7"
    response = _exec(api, "example", "sh", "-c", script, _preload_content=False)
    response.run_forever(timeout=20)
    assert (response.read_stdout(), response.read_stderr(), response.returncode) == ("out\n", "err\n", 7)


def test_input_is_answered(api: Any) -> None:
    response = _exec(api, "example", "sh", "-c", "read line; echo got:$line", stdin=True, _preload_content=False)
    response.write_stdin("word\n")
    response.run_forever(timeout=20)
    assert (response.read_stdout(), response.returncode) == ("got:word\n", 0)


def test_a_pod_that_is_not_there_is_an_api_exception(api: Any) -> None:
    with pytest.raises(kubernetes.client.ApiException, match="404"):
        _exec(api, "nope", "true")


def test_reads_are_refused_to_those_without_rights(sandbox: Sandbox) -> None:
    client = kubernetes.config.new_client_from_config(str(sandbox.kubeconfig), context="sandbox-bob")
    with client, pytest.raises(kubernetes.client.ApiException) as caught:
        kubernetes.client.CoreV1Api(client).list_namespaced_pod("default")
    assert caught.value.status == 403
