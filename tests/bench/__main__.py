"""Entrance of the benchmark: see `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.bench.crew import LIMIT, Crew
from tests.bench.handover import measure_handover
from tests.bench.load import LARGE, SMALL, TRUE
from tests.bench.peers import find_kubectl
from tests.bench.schedule import LOOP, measure
from tests.bench.startup import measure_startup
from tests.bench.supervision import measure_supervision
from tests.bench.table import format_table, is_intact, verdicts

_QUICK_PAIRS = 3


def main() -> int:
    """Run the benchmark and print its report; 1 if it broke, or if a byte of ours was missing."""
    options = _parse()
    loads = [TRUE, SMALL] if options.quick else [TRUE, SMALL, LARGE]
    pairs = _QUICK_PAIRS if options.quick else options.pairs
    with _place(options.kubeconfig) as (kubeconfig, place):
        print(f"kexec_magic and its peers on {place}", file=sys.stderr)
        with Crew(kubeconfig, options.namespace, options.pod, Progress()) as crew:
            results = measure(crew, loads, pairs)
            print("the hand-over's cost", file=sys.stderr)
            handover = measure_handover(crew, loads[-1])
            print("the supervisor's cost", file=sys.stderr)
            supervision = measure_supervision(crew)
    print("the start of IPython, without and with the extension", file=sys.stderr)
    startup = measure_startup()
    if options.json:
        raw = {
            "place": place,
            "peers": {
                peer: {name: [asdict(one) for one in runs] for name, runs in by_load.items()}
                for peer, by_load in results.items()
            },
            "handover": asdict(handover),
            "supervision": asdict(supervision),
            "startup": asdict(startup),
        }
        options.json.write_text(json.dumps(raw, indent=1) + "\n")
    print(f"## kexec_magic and its peers on {place}\n")
    print(
        f"Pod {options.pod}; Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; "
        f"medians of {pairs} pairs (min to max); a run has {LIMIT:.0f} s.\n"
    )
    print(format_table(results, loads), end="\n\n")
    print("\n".join(verdicts(results, loads, handover, supervision, startup)))
    broke = any(not one.ended for load in loads for one in results[LOOP][load.name])
    return 0 if is_intact(results, loads) and not broke else 1


class Progress:
    """Tells every ten seconds of a run how far it is, so that a person sees that it lives."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, peer: str, count: int) -> None:
        """Take a peer's bytes so far."""
        if time.monotonic() - self._told >= 10:
            self._told = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} {peer}: {count / 1e6:.1f} MB so far", file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--kubeconfig", default="", help="the cluster to measure on; without it, the project's sandbox")
    parser.add_argument("--namespace", default="default", help="the pod's namespace (default: %(default)s)")
    parser.add_argument("--pod", default="example", help="a running pod that has awk (default: %(default)s)")
    parser.add_argument(
        "--pairs", type=int, default=9, help="runs of ours and the loop, in turns (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_PAIRS} pairs, no 500 MB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures there")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs is at least 1")
    return options


@contextmanager
def _place(kubeconfig: str) -> Iterator[tuple[str, str]]:
    """Give a kubeconfig and what it leads to, in words; start the sandbox if none was given."""
    if kubeconfig:
        path = str(Path(kubeconfig).resolve())
        yield path, f"Kubernetes {_server_version(path)}"
        return
    try:
        from kexec_magic.sandbox import Sandbox
    except ImportError as error:
        raise SystemExit(
            f"--kubeconfig names no file, and the sandbox cannot stand in for a cluster: {error}"
        ) from None
    with Sandbox() as sandbox:
        yield str(sandbox.kubeconfig), "the project's sandbox (no kubeconfig was given)"


def _server_version(kubeconfig: str) -> str:
    command = [find_kubectl(), "--kubeconfig", kubeconfig, "--request-timeout", "10s", "version", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    try:
        return str(json.loads(done.stdout)["serverVersion"]["gitVersion"])
    except (ValueError, KeyError):
        raise SystemExit(f"the cluster of {kubeconfig} does not answer: {done.stderr.strip()}") from None


if __name__ == "__main__":
    raise SystemExit(main())
