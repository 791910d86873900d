"""A Jupyter server with its default limits between kernel and reader: a flood trips none, and nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Place
from tests.notebook.servers import ServedKernel, served_kernel

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

FLOOD = "yes | head -c 500000000"


@pytest.fixture(scope="module")
def served(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKernel]:
    with served_kernel(place.kubeconfig, tmp_path_factory.mktemp("served")) as found:
        yield found


def test_a_flood_shows_its_head_what_is_left_out_its_tail_and_the_result(served: ServedKernel) -> None:
    executed = served.run(f"%%kexec example\n{FLOOD}; echo the end")
    shown = executed.stream("stdout")
    assert executed.status == "ok"
    assert executed.stream("stderr") == ""
    assert shown.startswith("y\ny\n")
    assert shown.endswith("\ny\nthe end\n")
    told = shown.splitlines()[-41]
    assert told.startswith("\N{HORIZONTAL ELLIPSIS} ")
    assert "MB of stdout" in told
    assert told.endswith("not shown: _kexec.stdout has all of it")
    assert len(shown) < 2_000_000
    assert "stdout 500.0 MB" in executed.only("execute_result")["data"]["text/plain"]


def test_the_error_of_a_flood_arrives_and_a_cell_after_it(served: ServedKernel) -> None:
    executed = served.run(f"%%kexec example --out flood\n{FLOOD} >&2; echo broken >&2; exit 7")
    assert executed.status == "error"
    assert "exit code 7" in "\n".join(executed.only("error")["traceback"])
    shown = executed.stream("stderr")
    assert "rate exceeded" not in shown
    assert "not shown: flood.stderr has all of it\n" in shown
    assert shown.endswith("\nbroken\n")
    assert executed.kinds[-1] == "error"
    assert served.run("len(flood.stderr_bytes)").only("execute_result")["data"]["text/plain"] == "500000007"


def test_flood_after_flood_loses_nothing_that_counts(served: ServedKernel) -> None:
    for number in range(6):
        executed = served.run(f"%%kexec example --no-raise-error\nyes | head -c 20000000; exit {number}")
        assert f"exit code {number}" in executed.only("execute_result")["data"]["text/plain"]
        assert executed.stream("stdout").endswith("y\ny\n")
        assert "rate exceeded" not in executed.stream("stderr")


def test_runs_of_one_cell_trip_no_limit_together(served: ServedKernel) -> None:
    cell = """
for _ in range(4):
    get_ipython().run_cell_magic("kexec", "example", "yes | head -c 50000000")
_kexec.exit_code
"""
    executed = served.run(cell)
    assert executed.only("execute_result")["data"]["text/plain"] == "0"
    assert "rate exceeded" not in executed.stream("stderr")
