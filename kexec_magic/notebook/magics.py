"""The magics as IPython sees them: thin, quick to load, and free of IPython's own expansion.

What they do is in `cells`, which is imported by the first of them that runs: `%load_ext` has to be quick, and the
network's libraries are not needed to say which magics there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from kexec_magic.notebook.options import cell_help, use_help

if TYPE_CHECKING:
    from kexec_magic.execution.result import ExecResult
    from kexec_magic.notebook.cells import Cells

__all__ = ["KexecMagics"]


@magics_class
class KexecMagics(Magics):
    """`%%kexec`, `%kexec`, `%kuse` and `%ksandbox`."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._shell = shell
        self._cells: Cells | None = None

    @property
    def cells(self) -> Cells:
        """The state that the magics share, made when it is first needed."""
        if self._cells is None:
            from kexec_magic.notebook.cells import Cells
            from kexec_magic.notebook.view.audience import audience_of
            from kexec_magic.notebook.view.budget import NOTEBOOK, TERMINAL, Budget

            shell = self._shell
            budget = Budget(NOTEBOOK if hasattr(shell, "kernel") else TERMINAL)
            self._cells = Cells(shell.user_ns, budget, lambda: audience_of(shell))
        return self._cells

    @no_var_expand
    @line_cell_magic
    def kexec(self, line: str, cell: str | None = None) -> ExecResult | None:
        """Run a cell, or a command, in a pod."""
        return self.cells.run(line, cell)

    @no_var_expand
    @line_magic
    def kuse(self, line: str) -> None:
        """Set or show defaults."""
        self.cells.use(line)

    @no_var_expand
    @line_magic
    def ksandbox(self, line: str) -> None:
        """Start a small API server with pods on this machine, and use it; `%ksandbox stop` ends it."""
        self.cells.sandbox(line)

    def close(self) -> None:
        """Close what the magics opened."""
        if self._cells is not None:
            self._cells.close()

    kexec.__doc__ = cell_help()
    kuse.__doc__ = use_help()
