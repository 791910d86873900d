"""The texts in which a server says how a request or a command ended.

Source: apimachinery pkg/api/errors, kubelet and containerd, as recorded from servers 1.20 and 1.36.
"""

from __future__ import annotations

import json
from typing import Any

from kexec_magic.sandbox.containers import Ended
from kexec_magic.sandbox.subprotocols import Subprotocol

__all__ = ["encode_json", "failure", "final_message"]

_SUCCESS = b'{"metadata":{},"status":"Success"}'
# encoding/json of Go escapes these so that JSON may stand in HTML.
_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def encode_json(value: Any) -> bytes:
    """Encode as Go does: no blanks, and what could be HTML escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in _GO_ESCAPES.items():
        text = text.replace(character, escaped)
    return text.encode("utf-8", "replace")


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give the v1 Status with which the API server refuses a request."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details:
        status["details"] = details
    return status | {"code": code}


def final_message(ended: Ended, argv: list[str], subprotocol: Subprotocol, exec_id: str) -> bytes | None:
    """Give the last payload of the error channel; None where success is silent.

    Args:
        ended: How the command ended.
        argv: The command, for the texts of the older subprotocols.
        subprotocol: Decides the form: a Status from v4 on, plain text before.
        exec_id: The runtime's name for this exec, 64 hexadecimal digits.
    """
    if ended.exit_code == 0:
        return None if subprotocol.is_legacy else _SUCCESS
    if ended.exit_code is None:
        return _never_started(ended.error or "", subprotocol, exec_id)
    if subprotocol.has_close_signal:
        inner = f"command terminated with exit code {ended.exit_code}"
    else:
        inner = f"error executing command [{' '.join(argv)}], exit code {ended.exit_code}"
    message = f"command terminated with non-zero exit code: {inner}"
    if subprotocol.is_legacy:
        return message.encode("utf-8", "replace")
    return encode_json(
        {
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(ended.exit_code)}]},
        }
    )


def _never_started(error: str, subprotocol: Subprotocol, exec_id: str) -> bytes:
    cause = (
        "error executing command in container: failed to exec in container: "
        f'failed to start exec "{exec_id}": OCI runtime exec failed: {error}: unknown'
    )
    if subprotocol.has_close_signal:
        # The translator wraps the kubelet's error in one of its own.
        cause = f"Internal error occurred: {cause}"
    message = f"Internal error occurred: {cause}"
    if subprotocol.is_legacy:
        return message.encode("utf-8", "replace")
    return encode_json(
        {
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "InternalError",
            "details": {"causes": [{"message": cause}]},
            "code": 500,
        }
    )
