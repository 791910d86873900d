"""kubectl against the sandbox: the first judge of whether it is a Kubernetes API server."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kexec_magic.sandbox import Sandbox, faults

LIMIT = 30.0  # seconds for one kubectl

Done = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="session")
def kubectl() -> str:
    # That of the dev extra, beside this Python: an older one in PATH would fall back to SPDY.
    found = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip("no kubectl here: it is in the dev extra")
    return found


class Kubectl:
    """Runs kubectl with a kubeconfig of its own and an empty home."""

    def __init__(self, program: str, sandbox: Sandbox, home: Path) -> None:
        self._program = program
        self.environment = {"KUBECONFIG": str(sandbox.kubeconfig), "HOME": str(home), "PATH": os.environ["PATH"]}

    def __call__(self, *arguments: str, given: bytes | None = None, context: str = "sandbox") -> Done:
        command = [self._program, "--context", context, *arguments]
        return subprocess.run(
            command, input=given, capture_output=True, env=self.environment, timeout=LIMIT, check=False
        )

    def out(self, *arguments: str, given: bytes | None = None) -> str:
        done = self(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def on_a_terminal(self, *arguments: str, typed: bytes) -> bytes:
        """Run it on a terminal of its own and give what appeared there."""
        master, slave = pty.openpty()
        command = [self._program, *arguments]
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=self.environment) as process:
            os.close(slave)
            os.write(master, typed)
            shown = b""
            while True:
                try:
                    data = os.read(master, 4096)
                except OSError:  # EIO: kubectl has gone
                    break
                shown += data
            process.wait(LIMIT)
        os.close(master)
        return shown


@pytest.fixture
def run(kubectl: str, sandbox: Sandbox, tmp_path: Path) -> Kubectl:
    return Kubectl(kubectl, sandbox, tmp_path)


def test_exec_keeps_the_streams_apart_and_gives_the_exit_code(run: Kubectl) -> None:
    done = run("exec", "example", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    assert done.stderr.startswith(b"err\n")


def test_exec_uses_the_websocket_and_nothing_else(run: Kubectl, sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    run.out("exec", "example", "--", "true")
    (request,) = [found for found in sandbox.requests[before:] if "/exec" in found.path]
    assert (request.method, request.subprotocols) == ("GET", ["v5.channel.k8s.io"])


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_piped_input_arrives_whole_and_ends(run: Kubectl, size: int) -> None:
    assert run.out("exec", "-i", "example", "--", "wc", "-c", given=b"x" * size).strip() == str(size)


def test_a_large_output_arrives_whole(run: Kubectl) -> None:
    assert len(run("exec", "example", "--", "head", "-c", "30000000", "/dev/zero").stdout) == 30_000_000


def test_containers_are_chosen_by_flag_and_by_annotation(run: Kubectl) -> None:
    for container in ("main", "side"):
        run.out("exec", "multi", "-c", container, "--", "sh", "-c", f"echo {container} > /tmp/which")
    assert run.out("exec", "multi", "-c", "main", "--", "cat", "/tmp/which") == "main\n"
    assert run.out("exec", "multi", "--", "cat", "/tmp/which") == "side\n"


def test_a_workload_stands_for_one_of_its_pods(run: Kubectl) -> None:
    for target in ("deploy/web", "svc/web", "rs/web-6d4b9c7f8"):
        assert run.out("exec", target, "--", "hostname").startswith("web-")
    assert run.out("exec", "-n", "shop", "sts/api", "--", "hostname").startswith("api-")


def test_a_terminal_reaches_the_command(run: Kubectl) -> None:
    shown = run.on_a_terminal("exec", "-it", "example", "--", "sh", "-c", "tty; read l; echo got:$l", typed=b"word\n")
    assert b"/dev/pts/" in shown
    assert b"got:word\r\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--", "true"], 'pods "nope" not found'),
        (["done", "--", "true"], "cannot exec into a container in a completed pod"),
        (["pending", "--", "true"], "pod pending does not have a host assigned"),
        (["multi", "-c", "nope", "--", "true"], "container nope is not valid for pod multi"),
        (["noshell", "--", "sh"], 'exec: "sh": executable file not found in $PATH'),
    ],
)
def test_failures_are_told_in_the_servers_words(run: Kubectl, arguments: list[str], message: str) -> None:
    done = run("exec", *arguments)
    assert done.returncode != 0
    assert message in done.stderr.decode()


def test_rights_are_those_of_the_context(run: Kubectl) -> None:
    assert run("get", "pods", context="sandbox-token").returncode == 0
    denied = run("get", "pods", context="sandbox-bob")
    assert b'User "bob" cannot list resource "pods"' in denied.stderr
    assert run("auth", "can-i", "create", "pods", "--subresource=exec", context="sandbox-execonly").stdout == b"yes\n"
    assert run("auth", "can-i", "create", "pods", "--subresource=exec", context="sandbox-bob").stdout == b"no\n"


@pytest.mark.parametrize("pod", ["example", "tools"])
def test_files_are_copied_both_ways(run: Kubectl, tmp_path: Path, pod: str) -> None:
    content = os.urandom(300_000)
    (tmp_path / "sent").write_bytes(content)
    run.out("cp", str(tmp_path / "sent"), f"{pod}:/tmp/copy")
    run.out("cp", f"{pod}:/tmp/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_pods_are_shown_as_a_table(run: Kubectl) -> None:
    lines = [line.split() for line in run.out("get", "pods", "-A").splitlines()]
    assert lines[0] == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert {tuple(line[:5]) for line in lines} >= {
        ("default", "multi", "2/2", "Running", "0"),
        ("default", "done", "0/1", "Completed", "0"),
        ("default", "pending", "0/1", "Pending", "0"),
        ("shop", "db-0", "1/1", "Running", "0"),
    }


def test_lists_are_selected_and_read_in_pages(run: Kubectl, sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    shown = run.out("get", "pods", "-l", "app in (web)", "--chunk-size", "2", "-o", "name")
    assert shown.split() == [f"pod/web-{number}" for number in range(1, 5)]
    assert sum("continue=" in found.path for found in sandbox.requests[before:]) == 1


@pytest.mark.parametrize("kind", ["deployments", "services", "replicasets", "statefulsets", "nodes", "namespaces"])
def test_every_kind_is_listed(run: Kubectl, kind: str) -> None:
    assert json.loads(run.out("get", kind, "-A", "-o", "json"))["items"]


def test_logs_are_shown(run: Kubectl) -> None:
    assert "waiting for work" in run.out("logs", "example", "--tail", "1")


def test_the_version_is_told(run: Kubectl) -> None:
    assert json.loads(run.out("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.36.2"


def test_pods_are_created_and_deleted(run: Kubectl) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "extra"}}
    pod |= {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    run.out("create", "--validate=false", "-f", "-", given=json.dumps(pod).encode())
    assert run.out("exec", "extra", "--", "hostname") == "extra\n"
    run.out("delete", "pod", "extra", "--wait=false")
    assert run("get", "pod", "extra").returncode == 1


def test_a_connection_that_is_lost_is_no_success(run: Kubectl, sandbox: Sandbox) -> None:
    sandbox.on_exec("count", faults.drop_before_status())
    assert run("exec", "example", "--", "sh", "-c", "echo count").returncode != 0
