"""What the tests in a browser share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder for the notebook to be written to, and one that JupyterLab serves."""
    for name in ("source", "served"):
        (tmp_path / name).mkdir()
    return tmp_path / "source", tmp_path / "served"
