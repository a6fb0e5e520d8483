"""What every request and answer carries: a request id, security headers, one access line in the log.

Owns no routes. Plain ASGI, so that streamed bodies pass through untouched. The id is the one that
Ray Serve's proxy gives each request (or takes from its `X-Request-ID`) and returns with the answer.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.security_headers import add_security_headers

log = logging.getLogger("ray.serve")

_JOB_IN_PATH = re.compile(rb"[0-9a-f]{32}")


class RequestContext:
    """Hands each request's id to the routes and logs the request once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id") or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                add_security_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            job = _JOB_IN_PATH.search(scope["path"].encode() + scope.get("query_string", b""))
            log.info(
                "%s %s -> %d",
                scope["method"],
                scope["path"],
                status,
                extra={
                    "http_request": request_id,
                    "tapcut_job": job.group().decode() if job else None,
                    "tapcut_tenant": scope["state"].get("tenant"),
                    "seconds": round(time.perf_counter() - started, 4),
                },
            )
