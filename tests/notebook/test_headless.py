"""Notebooks without anybody in front of them: nbclient and papermill see failures, and the quickstart runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.conftest import Place

pytestmark = pytest.mark.cluster

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def notebook_of(*cells: str) -> Any:
    sources = ["%load_ext kexec_magic", *cells]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@pytest.fixture
def kubeconfig(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBECONFIG", str(place.kubeconfig))
    return place.kubeconfig


@pytest.mark.usefixtures("kubeconfig")
def test_nbclient_stops_at_a_failing_cell_with_its_name_and_text() -> None:
    notebook = notebook_of("%%kexec example\necho broken >&2; exit 3", "never = True")
    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(notebook, timeout=60).execute()
    assert caught.value.ename == "CommandFailed"
    assert "exit code 3" in str(caught.value)
    assert notebook.cells[2].execution_count is None


@pytest.mark.usefixtures("kubeconfig")
def test_nbclient_lets_a_failure_pass_that_it_was_told_of_by_name() -> None:
    notebook = notebook_of("%%kexec example\nexit 3", "print('after')")
    NotebookClient(notebook, timeout=60, allow_error_names=["CommandFailed"]).execute()
    assert notebook.cells[2].outputs[0].text == "after\n"


def papermill(notebook: Any, folder: Path) -> tuple[subprocess.CompletedProcess[str], Any]:
    source, target = folder / "in.ipynb", folder / "out.ipynb"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, source)
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", str(source), str(target)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    return done, nbformat.read(target, as_version=4)


@pytest.mark.usefixtures("kubeconfig")
def test_papermill_exits_with_an_error_and_saves_what_ran(tmp_path: Path) -> None:
    done, saved = papermill(
        notebook_of("%%kexec example\necho before", "%%kexec example\nexit 3", "print('never')"), tmp_path
    )
    assert done.returncode != 0
    assert "CommandFailed" in done.stderr
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    assert any(output.get("text") == "before\n" for output in outputs)
    assert any(output.get("ename") == "CommandFailed" for output in outputs)
    assert not any("never" in output.get("text", "") for output in outputs)


@pytest.mark.usefixtures("kubeconfig")
def test_papermill_succeeds_where_every_cell_does(tmp_path: Path) -> None:
    done, saved = papermill(notebook_of("%%kexec example\necho fine"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert saved.cells[1].outputs[0].text == "fine\n"


@pytest.mark.usefixtures("kubeconfig")
def test_the_one_line_of_a_result_is_where_nobody_sees_results_a_line_of_the_stream() -> None:
    notebook = notebook_of("%%kexec example\necho fine", "r = %kexec example -- echo kept", "r.stdout", "_kexec is r")
    NotebookClient(notebook, timeout=60, coalesce_streams=True).execute()
    (shown,) = notebook.cells[1].outputs
    assert re.fullmatch("fine\nexit code 0 · default/example/main · .* · stdout 5 B\n", shown.text)
    assert [output.text for output in notebook.cells[2].outputs] == ["kept\n"]
    assert notebook.cells[3].outputs[0].data["text/plain"] == "'kept\\n'"
    assert notebook.cells[4].outputs[0].data["text/plain"] == "True"


@pytest.mark.usefixtures("kubeconfig")
def test_a_failure_that_nobody_sees_is_one_line_of_the_stream_and_an_error() -> None:
    notebook = notebook_of("%%kexec example\nexit 3")
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, timeout=60).execute()
    status, error = notebook.cells[1].outputs
    assert (status.name, status.text.startswith("exit code 3 · ")) == ("stderr", True)
    assert error.ename == "CommandFailed"


@pytest.mark.usefixtures("kubeconfig")
def test_a_progress_bar_that_nobody_watches_is_saved_in_its_last_state() -> None:
    notebook = notebook_of("%%kexec example\nfor i in 1 2 3; do printf '\\r%s of 3' $i; sleep 0.3; done; echo")
    NotebookClient(notebook, timeout=60, coalesce_streams=True).execute()
    assert notebook.cells[1].outputs[0].text.startswith("3 of 3\nexit code 0")


# What the quickstart's cells give, on the sandbox and on a cluster: their streams, results and errors by substring.
QUICKSTART: dict[str, dict[str, str]] = {
    "for i in 1 2 3": {"stdout": "line 1 of {three}\nline 2 of {three}\nline 3 of {three}\nexit code 0 · "},
    "--out r": {
        "stdout": "this goes to stdout\n",
        "stderr": "this goes to stderr\nexit code 7 · default/example/main",
    },
    "r.exit_code": {"result": "(7, 'exited', False, 'this goes to stdout\\n', 'this goes to stderr\\n')"},
    "no such thing": {"stderr": "no such thing\n", "error": "exit code 7"},
    "_kexec.exit_code": {"result": "(7, 'no such thing\\n')"},
    "--ok 0,1": {"stdout": "exit code 1"},
    "one argument": {"stdout": "one argument $HOME {x} *\n"},
    "lines.lines()": {"result": "['1', '2', '3', '4', '5']"},
    "python3 -\n": {"stdout": "Python in the pod says 5050 on Linux\n"},
    "--arg limit --stdin rows": {"stdout": "apple: 5 kg\n"},
    "--shell python3": {"stdout": "[0, 1, 4, 9]\n"},
    "-c main": {"stdout": "in the container main\nexit code 0 · default/multi/main"},
    "-l app=example": {"stdout": "found by its label\n"},
    "-l app=web": {"error": "web-1, web-2, web-3, web-4"},
    "--timeout 1s": {"stdout": "started\n", "error": "no end within 1.0 s; ended by SIGINT"},
    "--dry-run": {"stdout": "/pods/example/exec?command=sh&command=-c"},
    "from kexec_magic import Cluster": {"result": "this and that\\n"},
}


@pytest.mark.usefixtures("kubeconfig")
def test_the_quickstart_says_what_it_shows() -> None:
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=60, coalesce_streams=True).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for mark, expected in QUICKSTART.items():
        (cell,) = [cell for cell in cells if mark in cell.source]
        shown: dict[str, str] = {}
        for output in cell.outputs:
            if output.output_type == "stream":
                shown[output.name] = output.text
            elif output.output_type == "error":
                shown["error"] = re.sub("\x1b\\[[0-9;]*m", "", "\n".join(output.traceback))
            else:
                shown["result"] = output.data["text/plain"]
        for name, text in expected.items():
            assert text in shown.get(name, ""), (mark, name, shown)


def test_the_quickstart_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
