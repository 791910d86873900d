"""The v1 Status object that ends an exec: what it proves about the command.

A Status arrives as JSON on the error channel, or as the body of a refused request. Legacy subprotocols send plain
text instead, and nothing at all on success.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Status", "parse_error_channel", "parse_legacy_error", "parse_status"]

_EXIT_CODE = re.compile(r"[0-9]{1,3}\Z")
# What container runtimes and kubelets write when a command could not be started: containerd and runc, CRI-O, the
# translator of API servers 1.30 to 1.35, and a kubelet that is gone before the exec began.
_NEVER_STARTED = re.compile(
    r"failed to (?:start|create) exec|failed to exec in container|OCI runtime exec failed|executable file not found"
    r"|unable to upgrade connection|error dialing backend|container not found|container is not (?:running|created)"
    r"|cannot exec in a (?:stopped|deleted) (?:state|container)|no command specified|must not be empty"
)
# The text that containerd writes on legacy subprotocols; the code is trusted only to say that the command ran.
_LEGACY_EXIT = re.compile(r"command terminated with (?:non-zero exit code|exit code)")


@dataclass(frozen=True, slots=True)
class Status:
    """What a Status says.

    `exit_code` is None unless the Status proves one: 0 for Success, 1 to 255 for a NonZeroExitCode with an ExitCode
    cause. `code` is the HTTP status inside the object, None where it has none.
    """

    success: bool
    message: str = ""
    reason: str = ""
    code: int | None = None
    exit_code: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def never_started(self) -> bool:
        """Whether the Status says that the command did not run at all, in words that only a failed start has.

        False leaves it open: an InternalError can also come from the middle of a run.
        """
        return not self.success and self.reason != "NonZeroExitCode" and _NEVER_STARTED.search(self.message) is not None


def parse_status(text: str | bytes) -> Status | None:
    """Parse a v1 Status from JSON text; None where the text is not one, whatever else it may be.

    The exit code is found by the cause whose reason is ExitCode, wherever it stands: API servers put causes without
    a reason, or with other text, before and instead of it.

    Source: apimachinery meta/v1 types.go (Status); client-go remotecommand v4.go (errorDecoderV4).
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("status") not in ("Success", "Failure"):
        return None
    raw_details = document.get("details")
    details = raw_details if isinstance(raw_details, dict) else {}
    raw_code = document.get("code")
    success = document["status"] == "Success"
    reason = _text(document.get("reason"))
    return Status(
        success=success,
        message=_text(document.get("message")),
        reason=reason,
        code=raw_code if isinstance(raw_code, int) and not isinstance(raw_code, bool) else None,
        exit_code=0 if success else _exit_code(reason, details),
        details=details,
    )


def parse_error_channel(payload: bytes) -> Status | None:
    """Parse all that arrived on the error channel of a v4 or v5 exec; None where nothing did.

    Text that is not a Status is a failure whose message is that text: the server meant to say something.
    """
    if not payload:
        return None
    return parse_status(payload) or Status(success=False, message=_plain(payload), reason="")


def parse_legacy_error(payload: bytes) -> Status | None:
    """Parse the error channel of a legacy exec: plain text on failure, without a usable exit code; None on success.

    Source: cri-streaming remotecommand (v1WriteStatusFunc); client-go errorstream.go (errorDecoderV2).
    """
    if not payload:
        return None
    text = _plain(payload)
    reason = "NonZeroExitCode" if _LEGACY_EXIT.match(text) else ""
    return Status(success=False, message=text, reason=reason)


def _exit_code(reason: str, details: dict[str, Any]) -> int | None:
    if reason != "NonZeroExitCode":
        return None
    causes = details.get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            message = cause.get("message")
            if isinstance(message, str) and _EXIT_CODE.match(message) and 0 < int(message) <= 255:
                return int(message)
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _plain(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").strip()
