"""Ways in which a server can misbehave, for tests.

Give them to `Sandbox.on_exec` and `Sandbox.on_request`; several apply in the order given. Each exec gets a copy of its
own, so that one fault may be registered once and hit many.
"""

from __future__ import annotations

from kexec_magic.sandbox.faults.answers import Stall, refuse, refuse_subprotocol, stall, stop_reading_stdin
from kexec_magic.sandbox.faults.base import Fault, Refusal
from kexec_magic.sandbox.faults.delays import delay_channel
from kexec_magic.sandbox.faults.endings import (
    close_without_status,
    drop_before_status,
    drop_connection,
    reset,
    reset_after_status,
    succeed_early,
)
from kexec_magic.sandbox.faults.messages import (
    cut_messages,
    empty_message,
    flood,
    oversized_message,
    server_close_message,
    split_status,
    status,
    status_without_causes,
    unknown_channel,
)

__all__ = [
    "Fault",
    "Refusal",
    "Stall",
    "close_without_status",
    "cut_messages",
    "delay_channel",
    "drop_before_status",
    "drop_connection",
    "empty_message",
    "flood",
    "oversized_message",
    "refuse",
    "refuse_subprotocol",
    "reset",
    "reset_after_status",
    "server_close_message",
    "split_status",
    "stall",
    "status",
    "status_without_causes",
    "stop_reading_stdin",
    "succeed_early",
    "unknown_channel",
]
