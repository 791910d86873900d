"""The notebook's own values in a magic's line: `--stdin EXPR`, `--arg EXPR`, `--env NAME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kexec_magic.errors import OptionError

__all__ = ["evaluate", "read_environment"]


def evaluate(text: str, names: dict[str, Any], *, option: str) -> Any:
    """Give the value of a Python expression among the notebook's variables.

    Raises:
        OptionError: If it has none; the message names what went wrong, and none of the values.
    """
    try:
        return eval(compile(text, f"<{option}>", "eval"), names)  # the user's own code, in the user's own notebook
    except Exception as error:  # noqa: BLE001 - whatever the expression raises is the user's, and told
        raise OptionError(
            f"{option} {text!r} has no value: {type(error).__name__}: {error}",
            hint="it is a Python expression; text itself needs quotes inside quotes, as in \"'text'\"",
        ) from None


def read_environment(words: Sequence[str], names: Mapping[str, Any]) -> dict[str, str]:
    """Give the variables that words of the form NAME=VALUE and NAME mean; NAME alone is the notebook's variable.

    Raises:
        OptionError: If the notebook has no such variable. The kernel's own environment is never looked at.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals and name not in names:
            raise OptionError(
                f"--env {name}: the notebook has no variable of that name",
                hint=f"set it in a cell before, or write --env {name}=VALUE",
            )
        found[name] = value if equals else str(names[name])
    return found
