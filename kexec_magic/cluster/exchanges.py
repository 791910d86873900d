"""A request that was made and how it was answered, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Exchange"]

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. `status` is None where no answer came; `seconds` covers connecting too.

    The headers are masked when it is made: no credential is ever inside.
    """

    method: str
    url: str
    status: int | None
    seconds: float
    request_headers: Mapping[str, str] = field(default_factory=dict)
    subprotocol: str | None = None

    def __post_init__(self) -> None:
        masked = {name: _masked(name, value) for name, value in self.request_headers.items()}
        object.__setattr__(self, "request_headers", masked)


def _masked(name: str, value: str) -> str:
    if name.lower() not in _CREDENTIALS:
        return value
    scheme, _, rest = value.partition(" ")
    return f"{scheme} <masked>" if rest else "<masked>"
