"""The quickstart in a real JupyterLab: what a reader sees, while it runs and after. `make pictures` keeps the views."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from kexec_magic.sandbox import Sandbox
from tests.browser.lab import lab

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def page_of(folder: Path, *cells: str) -> Path:
    """Write a notebook that loads the extension and then has these cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in ("%load_ext kexec_magic", *cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path = folder / "page.ipynb"
    nbformat.write(notebook, path)
    return path


def test_output_is_seen_while_the_command_runs_and_a_stop_keeps_it(
    sandbox: Sandbox, folders: tuple[Path, Path]
) -> None:
    notebook = page_of(folders[0], "%%kexec example\necho started\nsleep 60\necho finished", "print('the end')")
    with lab(notebook, sandbox.kubeconfig, folders[1]) as opened:
        opened.run_all()
        opened.wait_for_output("sleep 60", "started")
        opened.interrupt()
        opened.wait_for_output("sleep 60", "CommandInterrupted")
        text = " ".join(opened.output("sleep 60").all_inner_texts())
        assert "started" in text
        assert "interrupted; ended by SIGINT" in text
        assert "finished" not in text
        opened.wait_until_idle()
        assert opened.output("the end").count() == 0


def test_the_quickstart_runs_to_its_end(sandbox: Sandbox, folders: tuple[Path, Path]) -> None:
    # Without the cells that are meant to fail: in a notebook they stop *Run All*.
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "raises-exception" not in cell.metadata.get("tags", [])]
    nbformat.write(notebook, folders[0] / "quickstart.ipynb")
    with lab(folders[0] / "quickstart.ipynb", sandbox.kubeconfig, folders[1]) as opened:
        opened.run_all()
        opened.wait_for_output("from kexec_magic import Cluster", "this and that")
        opened.wait_until_idle()
        opened.wait_for_output("exit 7", "exit code 7")


# The picture of the README, which is also what a first failing cell looks like.
PICTURE = [
    '%%kexec example\nfor i in 1 2 3; do\n  echo "line $i"\ndone\necho "this goes to stderr" >&2',
    "r = %kexec --quiet example -- ls /\nr.exit_code, r.lines()[:5]",
    '%%kexec example --timeout 30s\necho "the disk is full" >&2\nexit 7',
]


def test_results_and_errors_are_one_glance(
    sandbox: Sandbox, folders: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    with lab(page_of(folders[0], *PICTURE), sandbox.kubeconfig, folders[1]) as opened:
        opened.run_all()
        opened.wait_for_output("exit 7", "CommandFailed")
        opened.wait_until_idle()
        channels = opened.cell("this goes to").locator(".jp-OutputArea-output")
        kinds = channels.evaluate_all("found => found.map(one => one.dataset.mimeType)")
        assert kinds == ["application/vnd.jupyter.stdout", "application/vnd.jupyter.stderr", "text/html"]
        error = opened.output("exit 7").filter(has_text="CommandFailed").inner_text()
        assert len(error.strip().splitlines()) == 3
        if request.config.getoption("--pictures"):
            opened.take_picture(NOTEBOOKS / "pictures" / "quickstart.png", "exit 7")
