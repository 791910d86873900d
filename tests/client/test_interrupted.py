"""Interrupts while a run connects, receives and sends, on servers that do not help: each ends it, and nothing hangs."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kexec_magic import Cluster, Outcome
from kexec_magic.sandbox import Sandbox, faults
from tests.client.expectations import SECONDS, seen
from tests.conftest import Place

NOTHING_RAN = "nothing ran; it is safe to run it again"
INPUT = b"x" * 5_000_000


@contextmanager
def interrupted(*, after: float = 0.5) -> Iterator[None]:
    """Have a SIGINT come in the middle of a block, which must not hang all the same."""
    started = time.monotonic()
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.join()
    assert time.monotonic() - started < SECONDS


def test_an_interrupt_while_tls_gets_no_answer_has_run_nothing(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig = place.with_server(f"https://127.0.0.1:{silent.getsockname()[1]}")
        with Cluster(kubeconfig=kubeconfig) as cluster, interrupted():
            result = cluster.run("example", "true")
    assert (seen(result), result.hint) == ((Outcome.INTERRUPTED, None, False), NOTHING_RAN)


@pytest.mark.parametrize("container", [None, "main"], ids=["read", "upgrade"])
@pytest.mark.parametrize("options", [{}, {"stdin": INPUT}, {"tty": True}], ids=["script", "input", "tty"])
def test_an_interrupt_while_a_request_gets_no_answer_has_run_nothing(
    sandbox: Sandbox, faulty: Cluster, container: str | None, options: dict[str, Any]
) -> None:
    silence = faults.stall(unanswered=True)
    sandbox.on_request("GET", "/pods/example", silence)
    with interrupted():
        result = faulty.run("example", "true", container=container, **options)
    silence.release()
    assert (seen(result), result.hint) == ((Outcome.INTERRUPTED, None, False), NOTHING_RAN)
    assert result.reason == "interrupted before anything ran"


def test_an_interrupt_while_a_bare_exec_gets_no_answer_leaves_open_whether_it_ran(
    sandbox: Sandbox, faulty: Cluster
) -> None:
    silence = faults.stall(unanswered=True)
    sandbox.on_exec("*", silence)
    with interrupted():
        result = faulty.run("example", argv=["true"], direct=True)
    silence.release()
    assert seen(result) == (Outcome.INTERRUPTED, None, False)
    assert "may still run" in str(result.hint)


def test_a_deadline_while_the_upgrade_gets_no_answer_has_run_nothing(sandbox: Sandbox, faulty: Cluster) -> None:
    silence = faults.stall(unanswered=True)
    sandbox.on_exec("*", silence)
    result = faulty.run("example", "true", timeout=0.5)
    silence.release()
    assert (seen(result), result.hint) == ((Outcome.TIMED_OUT, None, False), NOTHING_RAN)
    assert result.duration < SECONDS


def test_an_interrupt_while_output_floods_ends_the_command(faulty: Cluster) -> None:
    with interrupted():
        result = faulty.run("example", "yes")
    assert seen(result) == (Outcome.INTERRUPTED, 130, True)
    assert result.stdout_bytes.startswith(b"y\ny\n")


def test_an_interrupt_while_input_is_not_read_ends_the_command(faulty: Cluster) -> None:
    with interrupted():
        result = faulty.run("example", "sleep 60", stdin=INPUT)
    assert seen(result) == (Outcome.INTERRUPTED, 130, True)


def test_an_interrupt_while_the_server_takes_nothing_ends_the_wait_for_it(sandbox: Sandbox, faulty: Cluster) -> None:
    sandbox.on_exec("*", faults.stop_reading_stdin())
    with interrupted():
        result = faulty.run("example", "sleep 60", stdin=INPUT)
    # Nobody could be sent to watch over the command, so that it was not begun.
    assert (seen(result), result.hint) == ((Outcome.INTERRUPTED, None, False), NOTHING_RAN)
    with interrupted():
        result = faulty.run("example", argv=["sleep", "2"], stdin=INPUT, direct=True)
    assert seen(result) == (Outcome.INTERRUPTED, None, False)
    assert "may still run" in str(result.hint)
