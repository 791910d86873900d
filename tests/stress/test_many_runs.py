"""Thousands of runs with input and heartbeats while output arrives: not one is lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kexec_magic import Cluster, Outcome

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1500)]

RUNS = 3000
AT_ONCE = 16

# Seconds. A sign of life is due every quarter of it, and so at least one in each run: it writes for 1.2 s.
ORPHAN_AFTER = 4
SCRIPT = "cat; for part in 1 2 3 4 5 6 7 8 9 10 11 12; do seq 20; sleep 0.1; done; exit 7"
NUMBERS = "".join(f"{number}\n" for number in range(1, 21)).encode() * 12


def test_three_thousand_runs_lose_nothing(cluster: Cluster) -> None:
    data = os.urandom(20_000)

    def one(number: int) -> str:
        # Every other run has input, and so a second exec.
        fed = number % 2
        result = cluster.run("example", SCRIPT, stdin=data if fed else None, orphan_after=ORPHAN_AFTER, timeout=120)
        whole = result.stdout_bytes == (data if fed else b"") + NUMBERS and result.complete
        if (result.outcome, result.exit_code, whole) == (Outcome.EXITED, 7, True):
            return ""
        return f"run {number}: {result!r}, {result.reason}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lost = [text for text in pool.map(one, range(RUNS)) if text]
    assert not lost, f"{len(lost)} of {RUNS}: {lost[:5]}"
