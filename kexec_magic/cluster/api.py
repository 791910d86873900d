"""The REST reads that a run needs: one pod, lists of pods, one node. Nothing here changes anything on the cluster."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from kexec_magic.cluster.dialer import Dialer, is_broken, unreachable
from kexec_magic.cluster.exchanges import Exchange
from kexec_magic.cluster.nodes import Node, parse_node
from kexec_magic.cluster.pods import Pod, parse_pod
from kexec_magic.cluster.refusals import refusal
from kexec_magic.errors import ApiError, ProtocolError

__all__ = ["ClusterApi"]

# Reads are safe to make again: after a connection that broke, and when the server asks for patience.
_TRIES = 4
_PATIENCE = (429, 503)
_FIRST_PAUSE = 0.25  # seconds, doubled each time, where the server names none
_DEFAULT_SECONDS = 30.0
_PAGE = 500


class ClusterApi:
    """Reads from one API server over connections that are kept; usable from several threads."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._pool = dialer.pool()
        self._observe: Callable[[Exchange], None] = _nobody

    def observed(self, observe: Callable[[Exchange], None]) -> ClusterApi:
        """Give the same API, on the same connections, that tells `observe` of every request."""
        other = object.__new__(ClusterApi)
        other._dialer, other._pool, other._observe = self._dialer, self._pool, observe
        return other

    def get_pod(self, namespace: str, name: str, *, timeout: float | None = None) -> Pod:
        """Read a pod.

        Args:
            timeout: Seconds for all tries together; None leaves 30.

        Raises:
            PodNotFound: If there is none.
            ClusterError: If the server does not answer, or refuses.
        """
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
        document, headers = self._read(path, timeout=timeout, namespace=namespace, pod=name)
        return replace(parse_pod(document), read_at=_date(headers.get("Date")))

    def get_node(self, name: str, *, timeout: float | None = None) -> Node:
        """Read a node; few users of pods may.

        Args:
            timeout: Seconds for all tries together; None leaves 30.

        Raises:
            ClusterError: If there is none, or the server does not answer, or refuses.
        """
        document, _ = self._read(f"/api/v1/nodes/{quote(name, safe='')}", timeout=timeout, namespace="", pod=None)
        return parse_node(document)

    def list_pods(
        self,
        namespace: str,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float | None = None,
        page: int = _PAGE,
    ) -> list[Pod]:
        """List the pods of a namespace, page after page, in the server's order.

        Args:
            page: How many pods to ask for at once.

        Raises:
            ClusterError: If the server does not answer, or refuses.
        """
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": str(page)}
        pods: list[Pod] = []
        token = ""
        while True:
            try:
                document, _ = self._read(
                    path, {**query, "continue": token}, timeout=timeout, namespace=namespace, pod=None
                )
            except ApiError as error:
                # The list changed for so long that the token expired: a whole one, unpaged, is always possible.
                if error.code != 410 or not token:
                    raise
                pods, token, query["limit"] = [], "", None
                continue
            items = document.get("items")
            pods += [parse_pod(item) for item in items or [] if isinstance(item, dict)]
            metadata = document.get("metadata")
            token = str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""
            if not token:
                return pods

    def _read(
        self,
        path: str,
        query: Mapping[str, str | None] | None = None,
        *,
        timeout: float | None,
        namespace: str,
        pod: str | None,
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Give an object and the headers that came with it."""
        given = {name: value for name, value in (query or {}).items() if value}
        url = path + (f"?{urlencode(given, quote_via=quote)}" if given else "")
        response = self._answered(url, time.monotonic() + (_DEFAULT_SECONDS if timeout is None else timeout))
        if response.status != 200:
            raise refusal(
                response.status,
                self._dialer.masked(response.data),
                response.headers,
                server=self._dialer.server,
                who=self._dialer.describe_credentials(),
                namespace=namespace,
                pod=pod,
            )
        try:
            document = json.loads(response.data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ProtocolError(
                f"{self._dialer.server} answered {path} with something that is no Kubernetes object",
                hint="is that the API server, or a login page before it?",
            )
        return document, response.headers

    def _answered(self, url: str, deadline: float) -> urllib3.BaseHTTPResponse:
        """Make a read until it is answered, by the rules for trying again, within the deadline."""
        pause = _FIRST_PAUSE
        for left in range(_TRIES - 1, -1, -1):
            try:
                response = self._request(url, deadline)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if not left or not is_broken(error) or time.monotonic() + pause >= deadline:
                    raise unreachable(self._dialer.server, error) from error
                wait = pause
            else:
                if response.status not in _PATIENCE:
                    return response
                wait = _retry_after(response.headers.get("Retry-After"), default=pause)
                if not left or time.monotonic() + wait >= deadline:
                    return response
            time.sleep(wait)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _request(self, url: str, deadline: float) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "Host": self._dialer.host_header, **self._dialer.headers()}
        started = time.monotonic()
        status: int | None = None
        try:
            response = self._pool.urlopen(
                "GET",
                self._dialer.path_prefix + url,
                headers=headers,
                timeout=urllib3.Timeout(total=max(0.001, deadline - started)),
                redirect=False,
                retries=False,
            )
            status = response.status
            return response
        finally:
            self._observe(
                Exchange("GET", self._dialer.server + url, status, time.monotonic() - started, request_headers=headers)
            )

    def close(self) -> None:
        """Close the connections that are idle."""
        self._pool.close()


def _nobody(_exchange: Exchange) -> None:
    return None


def _date(text: str | None) -> datetime | None:
    """Read a Date header; None where there is none, or none that is a time."""
    try:
        found = email.utils.parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _retry_after(text: str | None, *, default: float) -> float:
    """Give the seconds that a Retry-After header asks for: a number, or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return default
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return default
