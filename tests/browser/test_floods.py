"""Floods and progress bars in a real JupyterLab: what a reader sees of them, and that the page stays usable."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexec_magic.sandbox import Sandbox
from tests.browser.lab import lab
from tests.browser.test_lab import page_of

pytestmark = pytest.mark.browser


def test_a_flood_leaves_the_page_usable_and_shows_its_tail_and_result(
    sandbox: Sandbox, folders: tuple[Path, Path]
) -> None:
    notebook = page_of(folders[0], "%%kexec example\nyes | head -c 300000000; echo the end", "print('after', 'all')")
    with lab(notebook, sandbox.kubeconfig, folders[1]) as opened:
        opened.run_all()
        opened.wait_for_output("print", "after all")
        opened.wait_until_idle()
        opened.wait_for_output("yes |", "the end")
        opened.wait_for_output("yes |", "exit code 0")
        text = " ".join(opened.output("yes |").all_inner_texts())
        assert "not shown: _kexec.stdout has all of it" in text
        assert "so far" not in text
        assert "rate exceeded" not in text


def test_a_coloured_bar_is_one_line_that_moves_and_leaves_nothing_behind(
    sandbox: Sandbox, folders: tuple[Path, Path]
) -> None:
    bar = """%%kexec example
for i in 1 2 3 4 5 6 7 8 9; do
  printf '\\r\\033[K\\033[3%dm%s\\033[0m of 10' $((i % 8)) "$(printf '%*s' $((10 - i)) '' | tr ' ' '#')"
  sleep 0.3
done
printf '\\r\\033[Kdone\\n'"""
    with lab(page_of(folders[0], bar), sandbox.kubeconfig, folders[1]) as opened:
        opened.run_all()
        opened.wait_for_output("of 10", "#### of 10")
        opened.wait_until_idle()
        opened.wait_for_output("of 10", "done")
        stdout = opened.output("of 10").first.inner_text()
        assert stdout.split() == ["done"]
