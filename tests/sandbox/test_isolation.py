"""What a pod can reach, with isolation and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kexec_magic.sandbox import Sandbox
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access


@pytest.fixture(autouse=True)
def _isolated(sandbox: Sandbox) -> None:
    if not sandbox.isolation.isolated:
        pytest.skip(sandbox.isolation.describe())


def out(access: Access, pod: str, *argv: str, container: str = "") -> str:
    done = plain.run(access, pod, *argv, container=container)
    assert (done.exit_code, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_a_pod_sees_only_its_own_processes(access: Access) -> None:
    listed = [line.split(maxsplit=2) for line in out(access, "example", "ps").splitlines()[1:]]
    assert ["1", "root", "tail -f /dev/null"] in listed
    assert len(listed) < 20
    assert str(os.getpid()) not in [pid for pid, *_ in listed]


def test_a_pod_cannot_touch_the_machines_files(access: Access, tmp_path: Path) -> None:
    mine = tmp_path / "data"
    mine.mkdir()
    (mine / "precious").write_text("still here")
    path = str(mine)
    # Only what this test has made is at stake, should isolation be broken; `rmdir` takes nothing that holds files.
    done = plain.run(access, "example", "sh", "-c", f"ls {path}; rm -rf {path}; rmdir /data")
    assert b"No such file" in done.stderr
    assert (mine / "precious").read_text() == "still here"
    assert "data" not in out(access, "example", "ls", "/").split()
    plain.run(access, "example", "mkdir", "/data")


@pytest.mark.parametrize(
    "command", ["touch /usr/x", "touch /bin/cat", "v=$(cat /proc/sys/vm/swappiness); echo $v > /proc/sys/vm/swappiness"]
)
def test_the_machines_programs_and_settings_are_read_only(access: Access, command: str) -> None:
    done = plain.run(access, "tools", "sh", "-c", command)
    assert done.exit_code != 0
    assert b"Read-only file system" in done.stderr or b"cannot create" in done.stderr


@pytest.mark.parametrize("command", ["mount -t tmpfs none /data", "hostname other", "mknod /tmp/disk b 254 0"])
def test_root_in_a_pod_is_not_the_machines_root(access: Access, command: str) -> None:
    done = plain.run(access, "example", *command.split())
    assert done.exit_code != 0
    assert b"permitted" in done.stderr or b"denied" in done.stderr


@pytest.mark.parametrize("pod", ["example", "tools"])
def test_a_command_is_given_nothing_but_its_three_streams(access: Access, pod: str) -> None:
    # Of the waiting shell, not of `ls`, which opens the folder. Above them only what the shell itself saved away.
    assert out(access, pod, "sh", "-c", "ls /proc/$$/fd; true").split() == ["0", "1", "2"]
    assert out(access, pod, "sh", "-c", "ls /proc/1/fd; true").split()[:3] == ["0", "1", "2"]
    links = out(access, pod, "sh", "-c", "ls -l /proc/1/fd")
    assert "socket" not in links
    assert "pipe" not in links


@pytest.mark.parametrize("pod", ["example", "tools"])
def test_process_1_leaves_orphans_as_zombies_as_most_containers_do(access: Access, pod: str) -> None:
    # It outlives the shell, which might reap it.
    orphan = out(access, pod, "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    script = f"kill {orphan}; until grep -q ') Z 1 ' /proc/{orphan}/stat; do sleep 0.01; done"
    assert plain.run(access, pod, "sh", "-c", script).exit_code == 0
    assert ") Z 1 " in out(access, pod, "cat", f"/proc/{orphan}/stat")


def test_containers_share_neither_files_nor_processes(access: Access) -> None:
    out(access, "multi", "sh", "-c", "echo mine > /tmp/here; sleep 1000 >/dev/null 2>&1 &", container="main")
    assert "sleep 1000" in out(access, "multi", "ps", container="main")
    assert "sleep 1000" not in out(access, "multi", "ps", container="side")
    assert out(access, "multi", "ls", "/tmp", container="side") == ""


def test_files_stay_between_execs(access: Access) -> None:
    out(access, "web-1", "sh", "-c", "echo kept > /data/file")
    assert out(access, "web-1", "cat", "/data/file") == "kept\n"
    assert plain.run(access, "web-2", "cat", "/data/file").exit_code == 1


def test_a_pod_has_its_name_and_devices(access: Access) -> None:
    assert out(access, "web-3", "hostname") == "web-3\n"
    assert out(access, "web-3", "cat", "/etc/hostname") == "web-3\n"
    script = "head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x > /dev/null; ls /dev/fd/"
    assert out(access, "web-3", "sh", "-c", script).split()[:2] == ["4", "4"]


def test_tools_has_the_machines_shells_and_python(access: Access) -> None:
    script = "command -v bash sh tar && python3 -c 'print(6 * 7)'"
    assert out(access, "tools", "bash", "-c", script).splitlines()[-1] == "42"


def test_noshell_has_three_programs_and_no_shell(access: Access) -> None:
    assert out(access, "noshell", "echo", "hello") == "hello\n"
    assert out(access, "noshell", "cat", "/etc/hostname") == "noshell\n"
    for name in ("sh", "/bin/sh", "ash", "busybox", "ls"):
        status = plain.run(access, "noshell", name).status
        assert status["reason"] == "InternalError"


def test_as_an_ordinary_user_a_pod_is_isolated_by_a_user_namespace(tmp_path: Path) -> None:
    # For the sandbox's own tests as root: a user without rights, who can still read this checkout.
    mapping = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*mapping, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine's unshare cannot map a user")
    config = tmp_path / "config"
    command = [*mapping, sys.executable, "-m", "kexec_magic.sandbox", "--kubeconfig", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline(), program.stdout.readline()]
        access = Access.read(config, tmp_path)
        assert "a user, root, process and mount namespace" in lines[1]
        assert out(access, "example", "id", "-u") == "0\n"
        assert len(out(access, "example", "ps").splitlines()) < 5
        assert plain.run(access, "tools", "touch", "/usr/x").exit_code == 1
        path = plain.exec_path("example", "tty", stdin="true", tty="true", stderr="")
        with plain.upgrade(access, path, [V5]) as connection:
            assert connection.drain().stdout == b"/dev/pts/0\r\n"
        program.terminate()


def test_without_busybox_pods_have_the_machines_programs(tmp_path: Path) -> None:
    with Sandbox(busybox=False) as sandbox:
        access = Access.read(sandbox.kubeconfig, tmp_path)
        assert out(access, "example", "sh", "-c", "command -v ls").strip() in ("/usr/bin/ls", "/bin/ls")
        assert plain.run(access, "example", "touch", "/usr/x").exit_code == 1
        assert out(access, "noshell", "echo", "hello") == "hello\n"
        assert plain.run(access, "noshell", "/bin/sh").status["reason"] == "InternalError"


def test_the_description_says_that_the_network_is_shared(sandbox: Sandbox) -> None:
    assert "the network is this machine's" in sandbox.isolation.describe()


def test_without_isolation_the_description_warns(plain_sandbox: Sandbox) -> None:
    assert not plain_sandbox.isolation.isolated
    assert "as you, in the pod's folder" in plain_sandbox.isolation.describe()


def test_without_isolation_commands_run_in_the_pods_folder(plain_access: Access, plain_sandbox: Sandbox) -> None:
    home = Path(out(plain_access, "example", "sh", "-c", "echo $HOME; pwd").split()[0])
    assert home.name.startswith("example-")
    assert home.stat().st_mode & 0o777 == 0o700
    out(plain_access, "example", "sh", "-c", "echo x > file")
    assert (home / "file").read_text() == "x\n"
    assert out(plain_access, "web-1", "ls") == "bin\n"
    assert "USER" not in out(plain_access, "example", "env")


def test_without_isolation_the_pods_have_the_same_programs(plain_access: Access) -> None:
    assert out(plain_access, "noshell", "echo", "hello") == "hello\n"
    assert plain.run(plain_access, "noshell", "sh").status["reason"] == "InternalError"
    assert out(plain_access, "tools", "python3", "-c", "print(6 * 7)") == "42\n"


def test_without_isolation_ttys_and_exit_codes_work(plain_access: Access) -> None:
    path = plain.exec_path("example", "sh", "-c", "tty; exit 7", stdin="true", tty="true", stderr="")
    with plain.upgrade(plain_access, path, [V5]) as connection:
        connection.drain()
    assert connection.stdout.startswith(b"/dev/pts/")
    assert connection.exit_code == 7


def test_without_isolation_closing_ends_background_processes_too(tmp_path: Path) -> None:
    with Sandbox(isolate=False) as sandbox:
        access = Access.read(sandbox.kubeconfig, tmp_path)
        script = "setsid sleep 12345 >/dev/null 2>&1 & echo $!; setsid sleep 12345 >/dev/null 2>&1 & echo $!"
        pids = [int(pid) for pid in out(access, "example", "sh", "-c", script).split()]
        assert all(_is_alive(pid) for pid in pids)
    assert not any(_is_alive(pid) for pid in pids)


def _is_alive(pid: int) -> bool:
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 0
