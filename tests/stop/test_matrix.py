"""Whatever runs, and however it is stopped: nothing is left of it in the pod, and what is known of it is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.stop.cells import CELLS
from tests.stop.ways import WAYS, Scene

pytestmark = [pytest.mark.stop, pytest.mark.timeout(60)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CELLS)
def test_nothing_is_left_and_the_output_is_kept(scene: Callable[..., Scene], name: str, way: str) -> None:
    WAYS[way](scene(CELLS[name]))
