"""The question what one may do: SelfSubjectAccessReview, in JSON and in the protobuf that kubectl sends.

Source: k8s.io/api authorization/v1 generated.proto for the field numbers; apimachinery runtime/serializer/protobuf for
the envelope; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import json
from typing import Any

from kexec_magic.sandbox.reads import Answer
from kexec_magic.sandbox.statuses import failure
from kexec_magic.sandbox.users import Action, User

__all__ = ["review_access"]

_MAGIC = b"k8s\0"
_RAW = 2  # of runtime.Unknown
_SPEC, _RESOURCE_ATTRIBUTES = 2, 1
_FIELDS = {1: "namespace", 2: "verb", 3: "group", 5: "resource", 6: "subresource", 7: "name"}
_VARINT, _BYTES = 0, 2  # wire types


def review_access(user: User, body: bytes) -> Answer:
    """Answer a review, always in JSON, which every client accepts."""
    try:
        wanted = _parse_protobuf(body) if body.startswith(_MAGIC) else _parse_json(body)
    except (ValueError, IndexError, AttributeError) as exc:
        return Answer(400, failure(400, "BadRequest", f"not a SelfSubjectAccessReview: {exc}"))
    resource = "/".join(filter(None, (wanted.get("resource"), wanted.get("subresource"))))
    action = Action(
        wanted.get("verb", ""), resource, wanted.get("namespace", ""), wanted.get("group", ""), wanted.get("name", "")
    )
    head = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
    return Answer(201, {**head, "spec": {"resourceAttributes": wanted}, "status": {"allowed": user.may(action)}})


def _parse_json(body: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(body).get("spec", {}).get("resourceAttributes", {})
    return found


def _parse_protobuf(body: bytes) -> dict[str, str]:
    message: Any = body.removeprefix(_MAGIC)
    for number in (_RAW, _SPEC, _RESOURCE_ATTRIBUTES):
        message = _parse_message(message).get(number, b"")
    fields = _parse_message(message)
    return {name: fields[number].decode() for number, name in _FIELDS.items() if fields.get(number)}


def _parse_message(data: bytes) -> dict[int, bytes]:
    """Give the fields of a message that have a length; numbers are passed over."""
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        key, position = _parse_varint(data, position)
        size, position = _parse_varint(data, position)
        if key & 7 == _BYTES:
            fields[key >> 3] = data[position : position + size]
            position += size
        elif key & 7 != _VARINT:
            raise ValueError(f"wire type {key & 7} is not expected here")
    return fields


def _parse_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position
