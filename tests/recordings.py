"""The frames recorded from real API servers, as test data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent / "data" / "wire"


@dataclass(frozen=True)
class Recording:
    """One recorded exec; `frames` are the JSON objects of the data's own README."""

    name: str
    server: str
    request: dict[str, Any]
    response: dict[str, Any]
    frames: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return f"{self.server}-{self.name}"

    @property
    def messages(self) -> list[bytes]:
        """The server's data messages. Of a long one only the head was recorded: filler stands for the rest."""
        return [_bytes(frame) for frame in self.frames if frame.get("dir") == "<" and frame.get("opcode") in (1, 2)]

    @property
    def is_whole(self) -> bool:
        """Whether every byte of every message was recorded."""
        return all("hex_head" not in frame for frame in self.frames)

    @property
    def close_frame(self) -> bytes | None:
        """What the server's close frame held; None where it sent none."""
        for frame in self.frames:
            if frame.get("dir") == "<" and frame.get("opcode") == 8:
                return _bytes(frame)
        return None


def _bytes(frame: dict[str, Any]) -> bytes:
    if "hex" in frame:
        return bytes.fromhex(frame["hex"])
    head: bytes = bytes.fromhex(frame["hex_head"])
    length: int = frame["len"]
    return head + b"." * (length - len(head))


def recordings() -> list[Recording]:
    """Every recording there is, in a stable order."""
    found = []
    for path in sorted(_ROOT.glob("v*/*.json")):
        case = json.loads(path.read_text())
        found.append(
            Recording(
                name=case["case"],
                server=case["server"],
                request=case["request"],
                response=case["response"],
                frames=case["frames"],
            )
        )
    return found
