"""What an API server's audit log keeps of a run: nothing of what the user sent."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from kexec_magic import Cluster

pytestmark = pytest.mark.disruptive

SECONDS = 30.0


@pytest.fixture
def audit_log(request: pytest.FixtureRequest) -> Path:
    """The log of the cluster under test."""
    folder = request.config.getoption("--cluster-state")
    assert folder, "--cluster-state names the folder with the cluster's audit.log"
    return Path(folder) / "audit.log"


def wait_for(text: str, log: Path) -> None:
    """Wait until the log has got to a text."""
    until = time.monotonic() + SECONDS
    while text not in log.read_text():
        assert time.monotonic() < until, f"{text} is not in {log}"
        time.sleep(0.1)


@pytest.mark.parametrize("tty", [False, True])
def test_no_secret_of_a_run_is_in_the_audit_log(cluster: Cluster, audit_log: Path, tty: bool) -> None:
    secret = f"secret-{secrets.token_hex(16)}"
    result = cluster.run(
        "example",
        f'echo "{secret}" "$1" "$VALUE"; cat',
        args=[secret],
        env={"VALUE": secret},
        stdin=f"{secret}\n",
        tty=tty,
    )
    assert result.check().stdout.count(secret) >= 4
    assert cluster.run("example", argv=["echo", secret]).check().stdout == f"{secret}\n"
    # What travels in a URL does stand in the log: that it is read at all, and up to here.
    seen = f"seen-{secrets.token_hex(16)}"
    cluster.run("example", argv=["echo", seen], direct=True).check()
    wait_for(seen, audit_log)
    assert secret not in audit_log.read_text()
