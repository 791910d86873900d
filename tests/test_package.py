"""The package as a whole: what importing it costs, and that its names are there."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import kexec_magic
from kexec_magic import errors

HEAVY = ["IPython", "ipywidgets", "urllib3", "websocket", "yaml", "aiohttp", "trustme", "ssl"]


def modules_after(code: str) -> set[str]:
    """Give the modules that a fresh interpreter has loaded after some code."""
    program = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = modules_after("import kexec_magic")
    assert not loaded & set(HEAVY)
    assert not {name for name in loaded if name.startswith("kexec_magic.")}


def test_loading_the_extension_does_not_load_the_network() -> None:
    loaded = modules_after(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance().run_line_magic('load_ext', 'kexec_magic')"
    )
    assert not loaded & {"urllib3", "websocket", "yaml", "ipywidgets", "aiohttp"}


@pytest.mark.parametrize("name", kexec_magic.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(kexec_magic, name).__name__ == name
    assert name in dir(kexec_magic)


def test_every_error_is_exported_at_the_top() -> None:
    assert set(errors.__all__) <= set(kexec_magic.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        kexec_magic.nosuch  # noqa: B018


def test_every_module_says_what_it_is_for_and_what_it_offers() -> None:
    for found in pkgutil.walk_packages(kexec_magic.__path__, "kexec_magic."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        assert module.__doc__, found.name
        if not found.ispkg:
            assert all(hasattr(module, name) for name in module.__all__), found.name
