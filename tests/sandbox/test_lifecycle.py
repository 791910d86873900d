"""Starting and stopping: nothing is left behind, whoever goes first."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kexec_magic.sandbox import Sandbox
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access

LIMIT = 15.0  # seconds for a process to start or end


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m kexec_magic.sandbox`, writing its kubeconfig to `tmp_path`."""
    command = [sys.executable, "-m", "kexec_magic.sandbox", "--kubeconfig", str(tmp_path / "config")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as found:
        yield found
        found.kill()


def _below(pid: int) -> list[int]:
    """Give all descendants of a process."""
    direct = [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return [*direct, *(found for child in direct for found in _below(child))]


def _wait_for_end(pids: list[int]) -> None:
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ready, _, _ = select.select([descriptor], [], [], LIMIT)
        os.close(descriptor)
        assert ready, f"process {pid} is still there"


def _descendants_of_a_busy_server(pid: int, kubeconfig: Path, folder: Path) -> list[int]:
    """Have a pod of the server run something for ever; give every process below the server."""
    access = Access.read(kubeconfig, folder)
    with plain.upgrade(access, plain.exec_path("example", "sh", "-c", "echo in; sleep 1000"), [V5]) as connection:
        connection.until(1, b"in\n")
    plain.run(access, "example", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
    found = _below(pid)
    assert len(found) >= 4
    return found


def test_the_program_prints_the_kubeconfigs_path_first_and_says_what_isolates(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert program.stdout is not None
    assert program.stdout.readline() == f"{tmp_path / 'config'}\n"
    assert "https://127.0.0.1:" in program.stdout.readline()
    assert plain.run(Access.read(tmp_path / "config", tmp_path), "example", "echo", "x").stdout == b"x\n"


def test_what_the_programs_own_starter_ignored_is_not_ignored_in_a_pod(tmp_path: Path) -> None:
    config = tmp_path / "config"
    start = ["sh", "-c", 'trap "" HUP QUIT USR1; exec "$@"', "sh"]
    command = [*start, sys.executable, "-m", "kexec_magic.sandbox", "--kubeconfig", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        assert plain.ignored_signals(Access.read(config, tmp_path), "example") == set()
        program.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_ends_cleanly_when_it_is_told_to(
    program: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert program.stdout is not None
    program.stdout.readline()
    below = _descendants_of_a_busy_server(program.pid, tmp_path / "config", tmp_path)
    program.send_signal(number)
    assert program.wait(LIMIT) == 0
    assert "Traceback" not in program.stdout.read()
    _wait_for_end(below)


def test_when_the_program_is_killed_its_pods_processes_die_and_its_folder_goes(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert program.stdout is not None
    program.stdout.readline()
    below = _descendants_of_a_busy_server(program.pid, tmp_path / "config", tmp_path)
    (node, *_) = below
    folder = Path(Path(f"/proc/{node}/cmdline").read_text().split("\0")[5])
    assert folder.name.startswith("kexec-sandbox-")
    program.kill()
    program.wait(LIMIT)
    _wait_for_end(below)
    assert not folder.exists()


def test_closing_ends_every_process_and_removes_every_file(tmp_path: Path) -> None:
    before = set(_below(os.getpid()))
    with Sandbox() as sandbox:
        folder = sandbox.kubeconfig.parent
        below = _descendants_of_a_busy_server(os.getpid(), sandbox.kubeconfig, tmp_path)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    _wait_for_end([pid for pid in below if pid not in before])


def test_the_kubeconfig_is_its_owners_alone_and_names_four_users(sandbox: Sandbox) -> None:
    assert stat.S_IMODE(sandbox.kubeconfig.stat().st_mode) == 0o600
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    contexts = {context["name"] for context in config["contexts"]}
    assert contexts == {"sandbox", "sandbox-token", "sandbox-bob", "sandbox-execonly", "sandbox-getonly"}
    assert config["current-context"] == "sandbox"


def test_starting_and_closing_twice_is_harmless_and_a_closed_one_starts_again(tmp_path: Path) -> None:
    sandbox = Sandbox()
    sandbox.close()
    for _ in range(2):
        assert sandbox.start() is sandbox.start()
        access = Access.read(sandbox.kubeconfig, tmp_path)
        assert plain.run(access, "example", "echo", "x").stdout == b"x\n"
        sandbox.close()
        sandbox.close()


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing(sandbox: Sandbox) -> None:
    threads = threading.active_count()
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=int(sandbox.url.rsplit(":", 1)[1])).start()
    assert threading.active_count() == threads


def test_a_kubeconfig_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sandbox(kubeconfig=tmp_path / "nowhere" / "config").start()


def test_two_sandboxes_do_not_trust_each_other(sandbox: Sandbox, old_access: Access, access: Access) -> None:
    stranger = Access(access.port, access.authority, old_access.certificate)
    with pytest.raises(OSError, match=r"(?i)unknown.ca|reset|EOF"):
        plain.get(stranger, "/version")


def test_only_the_loopback_address_listens(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    listening = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    local = [line.split()[1] for line in listening[1:] if line.split()[1].endswith(f":{port:04X}") and " 0A " in line]
    assert local == [f"0100007F:{port:04X}"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_another_user_of_the_machine_gets_nowhere_with_a_token(sandbox: Sandbox, access: Access) -> None:
    request = b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admintoken\r\n\r\n"
    context = ssl.create_default_context(cadata=access.authority)
    for user, status in ((0, b"200"), (12345, b"401")):
        # A socket belongs to whoever made it.
        os.seteuid(user)
        try:
            plain_socket = socket.socket()
        finally:
            os.seteuid(0)
        with plain_socket:
            plain_socket.connect(("127.0.0.1", access.port))
            with context.wrap_socket(plain_socket, server_hostname="127.0.0.1") as sock:
                sock.sendall(request)
                assert sock.recv(12).split()[1] == status


def test_an_interpreter_that_exits_takes_its_sandbox_along(tmp_path: Path) -> None:
    script = "from kexec_magic.sandbox import Sandbox; s = Sandbox().start(); print(s.kubeconfig)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stderr == ""
    assert not Path(done.stdout.strip()).parent.exists()


def test_without_its_extra_the_package_says_what_to_install() -> None:
    script = "import sys; sys.modules['aiohttp'] = None; import kexec_magic.sandbox"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'kexec-magic[sandbox]'")
