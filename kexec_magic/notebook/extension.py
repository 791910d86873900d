"""Loading and unloading, so that nothing is left behind and no other extension's magic is taken unsaid."""

from __future__ import annotations

import atexit
import sys

from IPython.core.interactiveshell import InteractiveShell

from kexec_magic.notebook.magics import KexecMagics

__all__ = ["load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Register the magics with an IPython, saying so if a name was taken."""
    magics = KexecMagics(shell)
    for kind, names in magics.magics.items():
        for name in names:
            if name in shell.magics_manager.magics[kind]:
                print(f"kexec_magic: %{name} was another extension's, and is ours now", file=sys.stderr)
    shell.register_magics(magics)
    atexit.register(magics.close)


def unload(shell: InteractiveShell) -> None:
    """Remove the magics from an IPython and close what they opened."""
    magics = shell.magics_manager.registry.pop(KexecMagics.__name__, None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    atexit.unregister(magics.close)
    magics.close()
