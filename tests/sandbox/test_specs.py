"""Pods that a client creates: another user, a root that is read-only, an environment, an image with very little."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kexec_magic.sandbox import Sandbox
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access

PODS = "/api/v1/namespaces/default/pods"
Create = Callable[..., str]

isolated = pytest.mark.usefixtures("_isolated")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become other users")


@pytest.fixture
def _isolated(sandbox: Sandbox) -> None:
    if not sandbox.isolation.isolated:
        pytest.skip(sandbox.isolation.describe())


def post(access: Access, container: dict[str, Any] | list[dict[str, Any]], **spec: Any) -> plain.Response:
    """Ask for a pod `made`; its first container is named `main` unless it has a name."""
    containers = container if isinstance(container, list) else [container]
    spec["containers"] = [{"name": "main", "image": "busybox"} | one for one in containers]
    body = json.dumps({"metadata": {"name": "made"}, "spec": spec}).encode()
    with plain.request(access, PODS, method="POST", body=body) as connection:
        return connection.response


@pytest.fixture
def create(access: Access) -> Iterator[Create]:
    """Create the pod `made` for as long as the test runs."""

    def made(container: dict[str, Any] | list[dict[str, Any]], **spec: Any) -> str:
        response = post(access, container, **spec)
        assert response.status == 201, response.body
        return "made"

    yield made
    with plain.request(access, f"{PODS}/made", method="DELETE"):
        pass


def out(access: Access, *argv: str, container: str = "") -> str:
    done = plain.run(access, "made", *argv, container=container)
    assert (done.exit_code, done.stderr) == (0, b"")
    return done.stdout.decode()


# The user.


@isolated
@as_root
def test_commands_and_process_1_run_as_the_user_asked_for(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    script = "id -u; id -g; id -G; stat -c %u:%g /proc/1; echo $HOME"
    assert out(access, "sh", "-c", script).split() == ["1234", "1234", "1234", "1234:1234", "/"]
    assert out(access, "grep", "CapEff", "/proc/self/status").split()[1].strip("0") == ""


@isolated
@as_root
def test_a_containers_own_user_goes_before_the_pods(access: Access, create: Create) -> None:
    own = {"name": "side", "securityContext": {"runAsUser": 0}}
    create([{}, own], securityContext={"runAsUser": 65534})
    assert out(access, "id", "-un", container="main") == "nobody\n"
    assert out(access, "id", "-un", container="side") == "root\n"


@isolated
@as_root
def test_another_user_writes_where_everybody_may_and_only_there(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    assert out(access, "sh", "-c", "echo x > /tmp/x; stat -c %u /tmp/x; echo y > /dev/shm/y") == "1234\n"
    for path in ("/x", "/data/x", "/root/x", "/etc/passwd"):
        done = plain.run(access, "made", "sh", "-c", f"echo x >> {path}")
        assert (done.exit_code, b"ermission denied" in done.stderr) == (1, True)


@isolated
@as_root
def test_another_user_owns_its_streams(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    with plain.upgrade(
        access,
        plain.exec_path("made", "sh", "-c", "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr", stdin="1"),
        [V5],
    ) as connection:
        connection.stdin(b"hello")
        connection.close_stdin()
        connection.drain()
    assert (connection.stdout, connection.stderr, connection.exit_code) == (b"hello", b"e\n", 0)
    assert Path("/dev/null").stat().st_uid == 0


@isolated
@as_root
def test_another_user_owns_its_tty(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    path = plain.exec_path("made", "sh", "-c", 'stat -c %u "$(tty)"; echo x > "$(tty)"', stdin="1", tty="1", stderr="")
    with plain.upgrade(access, path, [V5]) as connection:
        assert connection.drain().stdout == b"1234\r\nx\r\n"


@isolated
@as_root
def test_a_program_in_a_folder_of_roots_cannot_be_looked_up_by_another_user(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    message = plain.run(access, "made", "/root/x").status["message"]
    assert message.endswith("stat /root/x: permission denied: unknown")


@isolated
@as_root
def test_deleting_the_pod_ends_another_users_processes(access: Access, create: Create) -> None:
    create({"securityContext": {"runAsUser": 1234}})
    with plain.upgrade(access, plain.exec_path("made", "sh", "-c", "echo in; sleep 1000"), [V5]) as connection:
        connection.until(1, b"in\n")
        with plain.request(access, f"{PODS}/made", method="DELETE"):
            assert connection.drain().exit_code == 137


@isolated
@as_root
def test_another_users_process_1_dies_with_its_launcher(access: Access, create: Create) -> None:
    user = 100_000 + os.getpid()  # nobody else's on this machine
    create({"securityContext": {"runAsUser": user}})
    out(access, "true")
    shown = subprocess.run(["ps", "-o", "pid=,ppid=", "-u", str(user)], capture_output=True, text=True, check=True)
    init, launcher = (int(number) for number in shown.stdout.split())
    descriptor = os.pidfd_open(init)
    os.kill(launcher, signal.SIGKILL)
    assert select.select([descriptor], [], [], plain.TIMEOUT)[0] == [descriptor]
    os.close(descriptor)


# The root.


@isolated
def test_of_a_read_only_root_nothing_is_writable_but_devices_and_shared_memory(access: Access, create: Create) -> None:
    create({"securityContext": {"readOnlyRootFilesystem": True}})
    for path in ("/x", "/tmp/x", "/var/tmp/x", "/data/x", "/etc/hosts", "/bin/x"):
        done = plain.run(access, "made", "sh", "-c", f"echo x >> {path}")
        assert (done.exit_code, b"Read-only file system" in done.stderr) == (1, True)
    assert out(access, "sh", "-c", "echo x > /dev/null; echo x > /dev/shm/x; cat /dev/shm/x") == "x\n"
    assert out(access, "sh", "-c", "echo 5 > /proc/self/oom_score_adj; cat /proc/self/comm") == "cat\n"


@isolated
def test_a_root_is_writable_unless_it_was_asked_for_otherwise(access: Access, create: Create) -> None:
    create({"securityContext": {"readOnlyRootFilesystem": False}})
    assert out(access, "sh", "-c", "echo x > /tmp/x; echo y > /y; cat /tmp/x /y") == "x\ny\n"


# The environment.


def test_commands_have_the_environment_asked_for(access: Access, create: Create) -> None:
    create({"env": [{"name": "GREETING", "value": "a b=c\n"}, {"name": "EMPTY"}, {"name": "HOME", "value": "/data"}]})
    assert out(access, "sh", "-c", 'printf "%s|%s|%s" "$GREETING" "${EMPTY-none}" "$HOME"') == "a b=c\n||/data"


@isolated
def test_the_path_is_where_commands_are_looked_up(access: Access, create: Create) -> None:
    create({"env": [{"name": "PATH", "value": "/nowhere"}]})
    assert (
        plain.run(access, "made", "echo", "x").status["message"].endswith("executable file not found in $PATH: unknown")
    )
    assert out(access, "/bin/sh", "-c", "echo $PATH") == "/nowhere\n"


# The image.


@isolated
def test_a_bare_container_has_a_shell_and_hardly_a_program(access: Access, create: Create) -> None:
    create({"image": "registry.example/bare:1"})
    assert out(access, "ls", "/bin").split() == ["cat", "echo", "grep", "ls", "mkfifo", "sh", "sleep", "true"]
    script = 'mkfifo /tmp/f; (echo hello > /tmp/f &); cat < /tmp/f; kill -0 $$ && true && echo "$1"'
    assert out(access, "sh", "-c", script, "sh", "end") == "hello\nend\n"
    for name in ("setsid", "head", "dd", "stty", "ps", "id", "busybox", "bash", "python3"):
        done = plain.run(access, "made", "sh", "-c", name)
        assert (done.exit_code, done.stdout) == (127, b"")
        assert plain.run(access, "made", name).status["reason"] == "InternalError"


def test_without_isolation_a_bare_container_has_no_other_programs_either(plain_access: Access) -> None:
    assert post(plain_access, {"image": "bare"}).status == 201
    assert plain.run(plain_access, "made", "ls", "-1", "bin").stdout.split()[-3:] == [b"sh", b"sleep", b"true"]
    assert plain.run(plain_access, "made", "sh", "-c", "head -c 1").exit_code == 127
    with plain.request(plain_access, f"{PODS}/made", method="DELETE"):
        pass


@isolated
def test_a_bare_container_needs_no_busybox(tmp_path: Path) -> None:
    with Sandbox(busybox=False) as sandbox:
        access = Access.read(sandbox.kubeconfig, tmp_path)
        assert post(access, {"image": "bare"}).status == 201
        assert plain.run(access, "made", "sh", "-c", "ls /bin | grep -c .").stdout == b"8\n"
        assert plain.run(access, "made", "sh", "-c", "head -c 1").exit_code == 127


@isolated
def test_each_container_has_its_own_image(access: Access, create: Create) -> None:
    create([{"image": "bare"}, {"name": "side", "image": "tools"}])
    assert plain.run(access, "made", "sh", "-c", "stty", container="main").exit_code == 127
    assert out(access, "bash", "-c", "echo $BASH", container="side").endswith("bash\n")


# What the API says.


@isolated
def test_what_was_asked_for_is_shown_as_it_was_given(access: Access, create: Create) -> None:
    environment = [{"name": "A", "value": "b"}]
    context = {"runAsUser": 0, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    create(
        [{"image": "x/bare:1", "env": environment, "securityContext": context}, {"name": "side"}],
        securityContext={"runAsUser": 0, "fsGroup": 7},
    )
    pod = plain.get(access, f"{PODS}/made").json()
    assert pod["spec"]["securityContext"] == {"runAsUser": 0, "fsGroup": 7}
    main, side = pod["spec"]["containers"]
    assert (main["image"], main["env"], main["securityContext"]) == ("x/bare:1", environment, context)
    assert ("env" in side, "securityContext" in side) == (False, False)
    assert [one["image"] for one in pod["status"]["containerStatuses"]] == ["x/bare:1", "busybox"]


@pytest.mark.parametrize(
    ("container", "path"),
    [
        ({"securityContext": {"runAsUser": -1}}, "spec.containers[0].securityContext.runAsUser"),
        ({"securityContext": {"runAsUser": 2**31}}, "spec.containers[0].securityContext.runAsUser"),
        ({"securityContext": {"runAsUser": "root"}}, "spec.containers[0].securityContext.runAsUser"),
        ({"securityContext": {"readOnlyRootFilesystem": "yes"}}, "readOnlyRootFilesystem"),
        ({"env": [{"value": "x"}]}, "spec.containers[0].env[0].name"),
        ({"env": [{"name": "A", "value": "x"}, {"name": "A=B"}]}, "spec.containers[0].env[1].name"),
        ({"env": [{"name": "A", "value": 1}]}, "spec.containers[0].env[0].value"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}, "spec.containers[0].env[0].valueFrom"),
        ({"env": ["A"]}, "not a Pod"),
        ({"securityContext": "root"}, "not a Pod"),
        ([], "spec.containers"),
        ([{}, {}], "spec.containers[1].name"),
    ],
)
def test_a_field_that_is_not_valid_is_refused_by_its_path(access: Access, container: Any, path: str) -> None:
    response = post(access, container)
    assert (response.status, response.json()["reason"]) == (422, "Invalid")
    assert path in response.json()["message"]


@pytest.mark.parametrize("context", [{"runAsUser": 0}, {"runAsUser": 1234}, {"readOnlyRootFilesystem": True}])
def test_without_isolation_neither_a_user_nor_a_read_only_root_can_be_had(
    plain_access: Access, context: dict[str, Any]
) -> None:
    response = post(plain_access, {"securityContext": context})
    assert (response.status, response.json()["reason"]) == (422, "Invalid")
    assert f"securityContext.{next(iter(context))}: Forbidden" in response.json()["message"]
    assert "commands run on this machine as you" in response.json()["message"]


@isolated
def test_in_a_user_namespace_of_ones_own_there_is_no_other_user_and_a_root_can_be_read_only(tmp_path: Path) -> None:
    mapping = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*mapping, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine's unshare cannot map a user")
    config = tmp_path / "config"
    command = [*mapping, sys.executable, "-m", "kexec_magic.sandbox", "--kubeconfig", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        access = Access.read(config, tmp_path)
        refused = post(access, {"securityContext": {"runAsUser": 1234}})
        assert (refused.status, "has no user 1234" in refused.json()["message"]) == (422, True)
        assert post(access, {"securityContext": {"runAsUser": 0, "readOnlyRootFilesystem": True}}).status == 201
        assert out(access, "id", "-u") == "0\n"
        assert b"Read-only file system" in plain.run(access, "made", "touch", "/tmp/x").stderr
        program.terminate()
