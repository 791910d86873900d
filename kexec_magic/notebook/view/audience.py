"""Who is in front of a cell: a person at a notebook or a terminal, or a program that executes notebooks."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Audience", "audience_of"]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who reads what a cell shows.

    Attributes:
        cell: The id of the request that executes it; '' in a terminal.
        sees_results: False under nbclient and papermill, whose logs hold streams and no results.
        sees_changes: Whether a line that is written over is worth showing before it is finished.
    """

    cell: str = ""
    sees_results: bool = True
    sees_changes: bool = True


def audience_of(shell: InteractiveShell) -> Audience:
    """Look at the request that the shell is executing."""
    if not hasattr(shell, "get_parent"):  # no kernel
        return Audience(sees_changes=sys.stdout.isatty())
    parent = shell.get_parent()
    # Nobody can be asked where a program executes the notebook; nbclient and papermill say so in each request.
    attended = bool(parent.get("content", {}).get("allow_stdin", False))
    return Audience(cell=parent.get("header", {}).get("msg_id", ""), sees_results=attended, sees_changes=attended)
