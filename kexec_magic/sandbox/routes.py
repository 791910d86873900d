"""The server's answers: one handler for every request, which sends reads one way and execs the other."""

from __future__ import annotations

import asyncio
import secrets
from http.client import responses
from typing import NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from kexec_magic.sandbox.changes import change_pods
from kexec_magic.sandbox.cluster import Cluster
from kexec_magic.sandbox.containers import Container
from kexec_magic.sandbox.execs import ExecRequest, authorize_exec, check_exec, offered_subprotocols, refuse
from kexec_magic.sandbox.faults import Fault, Refusal
from kexec_magic.sandbox.frames import accept_key
from kexec_magic.sandbox.peers import is_own_user
from kexec_magic.sandbox.reads import (
    Answer,
    Target,
    parse_target,
    read_discovery,
    read_log,
    read_objects,
)
from kexec_magic.sandbox.records import RecordedRequest
from kexec_magic.sandbox.reviews import review_access
from kexec_magic.sandbox.statuses import encode_json, failure
from kexec_magic.sandbox.streams import ExecStream
from kexec_magic.sandbox.subprotocols import Subprotocol
from kexec_magic.sandbox.users import User, authenticate

__all__ = ["Routes"]

_MAX_HEAD = 1024 * 1024  # bytes of request line and headers; MaxHeaderBytes of the API server
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_VERBS = {"POST": "create", "DELETE": "delete", "PUT": "update", "PATCH": "patch"}
_NO_KUBELET = "error dialing backend: dial tcp 127.0.0.1:10250: connect: connection refused"
_HEADERS = {"Cache-Control": "no-cache, private"}


class _Exec(NamedTuple):
    """An exec that may start."""

    container: Container
    subprotocol: Subprotocol
    request: ExecRequest
    faults: list[Fault]
    code: int = 101


class _Hijacked(web.StreamResponse):
    """What the library is given to send after the connection was taken from it: nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


class Routes:
    """Answers requests about one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        offered = offered_subprotocols(request.headers.get("Sec-WebSocket-Protocol"))
        user = self._authenticate(request)
        record, name = self._cluster.record, user.name if user else None
        number = record.add(RecordedRequest(request.method, request.raw_path, offered, name))
        answer = await self._decide(request, user, offered)
        # Before a byte of it is sent: who has the answer finds it in the record.
        record.answer(number, answer.code)
        if isinstance(answer, Refusal):
            return _refuse(request, answer)
        if isinstance(answer, Answer):
            return _answer(answer)
        return await self._serve(request, answer)

    async def _decide(
        self, request: web.BaseRequest, user: User | None, offered: list[str]
    ) -> Answer | Refusal | _Exec:
        if len(request.raw_path) > _MAX_HEAD:
            text = f"431 {responses[431]}".encode()
            return Refusal(431, text, {"Content-Type": "text/plain; charset=utf-8"}, False)
        for fault in self._cluster.request_faults(request.method, request.raw_path):
            await fault.requested()
            if refusal := fault.refusal(offered):
                return refusal
        if user is None:
            return refuse(401, "Unauthorized", "Unauthorized")
        target = parse_target(request.path)
        if target and (target.resource.plural, target.subresource) == ("pods", "exec"):
            return await self._exec(request, target, user, offered)
        return await self._read(request, target, user)

    def _authenticate(self, request: web.BaseRequest) -> User | None:
        user = authenticate(request.headers.get("Authorization"), name := _common_name(request))
        if user is None or user.is_anonymous or name is not None:
            return user
        client, server = request.get_extra_info("peername"), request.get_extra_info("sockname")
        # A connection that is gone already has neither, and nobody to answer.
        return user if client and server and is_own_user(client[1], server[1]) else None

    async def _read(self, request: web.BaseRequest, target: Target | None, user: User) -> Answer:
        path = request.path
        if user.is_anonymous and path not in _PUBLIC and target is None:
            message = f'forbidden: User "{user.name}" cannot {request.method.lower()} path "{path}"'
            return Answer(403, failure(403, "Forbidden", message, {}))
        if path == _REVIEWS and request.method == "POST":
            return review_access(user, await request.read())
        if target is None:
            found = read_discovery(path, old_server=self._cluster.old_server)
            message = "the server could not find the requested resource"
            return found or Answer(404, failure(404, "NotFound", message, {}))
        verb = _VERBS.get(request.method, "get" if target.name else "list")
        if not user.may(action := target.action(verb)):
            return Answer(403, failure(403, "Forbidden", action.refusal(user), target.details))
        if request.method in _VERBS and target.resource.kind == "Pod":
            return change_pods(self._cluster, target, verb, await request.read())
        if request.method != "GET":
            message = "the server does not allow this method on the requested resource"
            return Answer(405, failure(405, "MethodNotAllowed", message, {}))
        if target.subresource:
            return read_log(self._cluster.find(target.namespace, target.name), target, request.query)
        return read_objects(target, self._cluster, request.query, request.headers.get("Accept", ""))

    async def _exec(self, request: web.BaseRequest, target: Target, user: User, offered: list[str]) -> Refusal | _Exec:
        cluster = self._cluster
        wanted = ExecRequest.parse(request.query)
        faults = cluster.exec_faults(wanted.argv)
        for fault in faults:
            await fault.requested()
            if refusal := fault.refusal(offered):
                return refusal
        denied = authorize_exec(user, target.namespace, target.name, old_server=cluster.old_server)
        if denied:
            return denied
        upgrade = request.headers.get("Upgrade", "").lower()
        pod = cluster.find(target.namespace, target.name)
        checked = check_exec(pod, target.name, wanted, offered, upgrade=bool(upgrade), old_server=cluster.old_server)
        if isinstance(checked, Refusal):
            return checked
        if not cluster.node_ready:
            return refuse(500, "", _NO_KUBELET)
        if upgrade != "websocket":
            return refuse(400, "BadRequest", "the sandbox speaks WebSocket and not SPDY")
        if request.method != "GET":
            return Refusal(405, b"bad method", content_length=False)
        assert pod is not None
        container = cluster.containers[pod.namespace, pod.name, wanted.container or pod.containers[0]]
        return _Exec(container, checked, wanted, faults)

    async def _serve(self, request: web.BaseRequest, found: _Exec) -> web.StreamResponse:
        stream = _upgrade(request, found)
        task = asyncio.create_task(stream.run(found.container, secrets.token_hex(32)))
        self._cluster.running.add(task)
        task.add_done_callback(self._cluster.running.discard)
        self._cluster.streams.add(stream)
        await stream.gone
        self._cluster.streams.discard(stream)
        return _Hijacked()


def _upgrade(request: web.BaseRequest, found: _Exec) -> ExecStream:
    """Answer 101 and take the connection from the HTTP library."""
    transport = request.transport
    assert isinstance(transport, asyncio.Transport)
    head = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(request.headers.get('Sec-WebSocket-Key', ''))}",
        # Also where none was offered: x/net then sends the header without a value (recorded).
        f"Sec-WebSocket-Protocol: {found.subprotocol.name}",
    ]
    stream = ExecStream(transport, request.protocol, found.subprotocol, found.request, found.faults)
    transport.set_protocol(stream)
    transport.write("\r\n".join([*head, "", ""]).encode())
    return stream


def _refuse(request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """Send a refusal byte by byte as it is, and close."""
    headers = {**refusal.headers, "Connection": "close"}
    if refusal.content_length:
        headers["Content-Length"] = str(len(refusal.body))
    lines = [f"HTTP/1.1 {refusal.code} {responses.get(refusal.code, '')}".rstrip()]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if request.transport is not None:
        request.transport.write("\r\n".join([*lines, "", ""]).encode() + refusal.body)
    return _Hijacked()


def _answer(answer: Answer) -> web.Response:
    if isinstance(answer.content, str):
        return web.Response(status=answer.code, text=answer.content, headers=_HEADERS)
    body = encode_json(answer.content) + b"\n"
    return web.Response(status=answer.code, body=body, content_type="application/json", headers=_HEADERS)


def _common_name(request: web.BaseRequest) -> str | None:
    """Give the user that the client's certificate names, which TLS has verified."""
    certificate = request.get_extra_info("peercert") or {}
    subject = dict(part for parts in certificate.get("subject", ()) for part in parts)
    name: str | None = subject.get("commonName")
    return name
