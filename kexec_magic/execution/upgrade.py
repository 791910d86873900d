"""From a connected socket to an exec WebSocket: one request, and what each answer to it means."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import websocket

from kexec_magic.cluster.dialer import Dialer
from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.refusals import refusal
from kexec_magic.cluster.targets import Target
from kexec_magic.errors import ClusterUnreachable, KexecError, ProtocolError
from kexec_magic.execution.handshake import Attempt, exec_path
from kexec_magic.execution.transport import SharedSocket
from kexec_magic.wire.channels import Subprotocol, negotiated
from kexec_magic.wire.protocol import ExecProtocol
from kexec_magic.wire.status import parse_status

__all__ = ["SubprotocolRefused", "upgrade"]

_SWITCHING_PROTOCOLS = 101


class SubprotocolRefused(ProtocolError):
    """The server refused the upgrade in the way that servers refuse a subprotocol; nothing has run.

    `diagnosis` is what the refusal means if it was not about the subprotocol.
    """

    def __init__(self, diagnosis: KexecError, offer: Sequence[Subprotocol]) -> None:
        super().__init__(f"the server refused {', '.join(subprotocol.value for subprotocol in offer)}")
        self.diagnosis = diagnosis


def upgrade(
    sock: SharedSocket,
    dialer: Dialer,
    target: Target,
    attempt: Attempt,
    *,
    identity: Mapping[str, str],
    on_exchange: Callable[[Exchange], None] | None,
) -> tuple[websocket.WebSocket, ExecProtocol]:
    """Make one handshake; the socket is closed where it fails.

    Args:
        identity: The headers that tell who we are.
        on_exchange: Told of the request and its answer.

    Raises:
        SubprotocolRefused: If another attempt may do.
        KexecError: Why the server did not accept.
    """
    path = exec_path(target, attempt.command)
    # Our own header line instead of the library's option, which hides what the server chose behind its error.
    headers = {**identity, "Sec-WebSocket-Protocol": ",".join(name.value for name in attempt.offer)}
    ws = websocket.WebSocket(skip_utf8_validation=True)
    started = time.monotonic()
    status: int | None = None
    try:
        ws.connect(
            f"ws://{dialer.host_header}{dialer.path_prefix}{path}",
            socket=sock,
            header=headers,
            host=dialer.host_header,
            suppress_origin=True,
            redirect_limit=0,
        )
        status = ws.status
        chosen = (ws.headers or {}).get("sec-websocket-protocol")
        return ws, ExecProtocol(negotiated(chosen, attempt.offer))
    except websocket.WebSocketBadStatusException as error:
        status = error.status_code
        raise _refused(status, error.resp_body or b"", error.resp_headers or {}, dialer, target, attempt) from None
    except websocket.WebSocketException as error:
        status = ws.status
        if status is not None and 300 <= status < 400:
            raise _refused(status, b"", ws.headers or {}, dialer, target, attempt) from None
        raise ClusterUnreachable(dialer.server, f"the upgrade to a WebSocket failed: {error}") from error
    except OSError as error:
        raise ClusterUnreachable(dialer.server, f"the upgrade to a WebSocket failed: {error}") from error
    finally:
        if on_exchange is not None:
            on_exchange(
                Exchange(
                    method="GET",
                    url=dialer.server + path,
                    request_headers=headers,
                    status=status,
                    seconds=time.monotonic() - started,
                    subprotocol=(ws.headers or {}).get("sec-websocket-protocol"),
                )
            )
        if status != _SWITCHING_PROTOCOLS:
            sock.close()


def _refused(
    status: int, body: bytes, headers: Mapping[str, str], dialer: Dialer, target: Target, attempt: Attempt
) -> KexecError:
    diagnosis = refusal(
        status,
        dialer.masked(body),
        headers,
        server=dialer.server,
        who=dialer.describe_credentials(),
        namespace=target.namespace,
        pod=target.pod,
        container=target.container,
    )
    # A server that does not know the subprotocol says so without a Status; every other refusal has one.
    if status in (400, 403) and parse_status(body) is None:
        return SubprotocolRefused(diagnosis, attempt.offer)
    return diagnosis
