"""Which objects a list request gets: label selectors, field selectors and pages.

Source: apimachinery pkg/labels/selector.go (the grammar) and pkg/fields/selector.go; apiserver's storage (`continue`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ExpiredTokenError",
    "Page",
    "Rule",
    "SelectorError",
    "parse_field_selector",
    "parse_label_selector",
    "take_page",
]

Rule = Callable[[dict[str, Any]], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_NAME})
      | (?P<key>{_NAME})
        (?: \s*(?P<equality>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)
          | \s*(?P<order>[<>])\s*(?P<number>-?\d+)
          | \s+(?P<set>in|notin)\s*\((?P<values>[-A-Za-z0-9_.,\s]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)
# A pod's fields that a server has an index for, and their paths; every other kind has the first two.
_COMMON_FIELDS = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")}
_POD_FIELDS = {
    "status.phase": ("status", "phase"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.restartPolicy": ("spec", "restartPolicy"),
    "status.podIP": ("status", "podIP"),
}


class SelectorError(ValueError):
    """A selector that the server does not understand."""


class ExpiredTokenError(ValueError):
    """A continue token that this server gave no longer holds."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the objects, and where to go on."""

    items: list[dict[str, Any]]
    token: str = ""
    remaining: int = 0


def parse_label_selector(text: str) -> Rule:
    """Give the rule of a label selector; an empty one takes everything.

    Raises:
        SelectorError: If it does not follow the grammar.
    """
    rules: list[Rule] = []
    position = 0
    while position < len(text.rstrip()):
        found = _REQUIREMENT.match(text, position)
        if found is None:
            raise SelectorError(f'unable to parse requirement: unexpected text at "{text[position:]}"')
        rules.append(_label_rule(found))
        position = found.end()
    return lambda one: all(rule(one) for rule in rules)


def parse_field_selector(text: str, kind: str) -> Rule:
    """Give the rule of a field selector for objects of a kind; an empty one takes everything.

    Raises:
        SelectorError: If it names a field that a server cannot select by.
    """
    fields = _COMMON_FIELDS | (_POD_FIELDS if kind == "Pod" else {})
    rules: list[Rule] = []
    for requirement in filter(None, text.split(",")):
        found = re.fullmatch(r"([^=!]*)(==|=|!=)(.*)", requirement)
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{requirement}'")
        name, operator, value = found.groups()
        if name not in fields:
            raise SelectorError(f"field label not supported: {name}")
        rules.append(_field_rule(fields[name], value, wanted=operator != "!="))
    return lambda one: all(rule(one) for rule in rules)


def take_page(items: list[dict[str, Any]], limit: int, token: str, version: str) -> Page:
    """Give the objects after a token, at most `limit` of them (0: all).

    Args:
        items: All that were selected, in the server's order.
        limit: How many at most.
        token: What the page before gave; empty for the first.
        version: What marks this server's tokens.

    Raises:
        ExpiredTokenError: If the token is another server's.
        ValueError: If it is no token at all.
    """
    if token:
        items = [one for one in items if _place(one) > _read_token(token, version)]
    if not limit or len(items) <= limit:
        return Page(items)
    shown = items[:limit]
    state = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": _place(shown[-1])})
    return Page(shown, base64.urlsafe_b64encode(state.encode()).decode().rstrip("="), len(items) - limit)


def _place(one: dict[str, Any]) -> list[str]:
    return [one["metadata"].get("namespace", ""), one["metadata"]["name"]]


def _read_token(token: str, version: str) -> list[str]:
    try:
        state = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        given, start = state["rv"], state["start"]
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise ValueError(f"invalid continue token: continue key is not valid: {exc}") from exc
    if given != version:
        raise ExpiredTokenError(token)
    return [str(part) for part in start]


def _label_rule(found: re.Match[str]) -> Rule:
    key = found["absent"] or found["key"]

    def label(one: dict[str, Any]) -> str | None:
        value: str | None = one["metadata"].get("labels", {}).get(key)
        return value

    if found["absent"]:
        return lambda one: label(one) is None
    if found["equality"] == "!=":
        return lambda one: label(one) != found["value"]
    if found["equality"]:
        return lambda one: label(one) == found["value"]
    if found["order"]:
        return lambda one: _is_ordered(label(one), found["order"], int(found["number"]))
    if found["set"]:
        values = [value.strip() for value in found["values"].split(",")]
        return lambda one: (label(one) in values) == (found["set"] == "in")
    return lambda one: label(one) is not None


def _is_ordered(value: str | None, order: str, number: int) -> bool:
    if value is None or not re.fullmatch(r"-?\d+", value):
        return False
    return int(value) < number if order == "<" else int(value) > number


def _field_rule(path: tuple[str, str], value: str, *, wanted: bool) -> Rule:
    return lambda one: (one.get(path[0], {}).get(path[1], "") == value) == wanted
