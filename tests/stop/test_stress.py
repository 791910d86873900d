"""Thousands of runs with input and heartbeats while output arrives: not one is lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kexec_magic import Cluster, Outcome

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1500)]

RUNS = 3000
AT_ONCE = 16
NUMBERS = "".join(f"{number}\n" for number in range(1, 201)).encode()


def test_three_thousand_runs_lose_nothing(cluster: Cluster) -> None:
    data = os.urandom(20_000)

    def one(number: int) -> str:
        # An orphan-after of 1 s makes a sign of life due every 250 ms; every other run has input, and a second exec.
        fed = number % 2
        result = cluster.run(
            "example",
            "cat; seq 200; sleep 0.3 2>/dev/null; exit 7",
            stdin=data if fed else None,
            orphan_after=1,
            timeout=120,
        )
        expected = (data if fed else b"") + NUMBERS
        whole = result.stdout_bytes == expected and result.complete
        if (result.outcome, result.exit_code, whole) == (Outcome.EXITED, 7, True):
            return ""
        return f"run {number}: {result!r}, {result.reason}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lost = [text for text in pool.map(one, range(RUNS)) if text]
    assert not lost, f"{len(lost)} of {RUNS}: {lost[:5]}"
