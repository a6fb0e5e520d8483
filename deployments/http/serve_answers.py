"""What Serve's HTTP proxy answers by itself, in words that a client can act on.

Owns the translation of the proxy's own plain refusals: a replica that died with a request, a fresh proxy
that does not know the application yet. The service's own answers pass untouched.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.edge import problem_bytes

OWN_MARK = "x-content-type-options"  # on the service's answers, on none of the proxy's
PROXY_PATHS = "/-/"  # the proxy's own health and routes
RETRY_AFTER_S = 1
TRANSLATED = (404, 503)  # the proxy has no routes yet; no replica is there
DETAIL = "A part of the service is restarting: send the request again; with its Idempotency-Key if it had one"


class ServeAnswers:
    """ASGI middleware for the proxy: makes its own refusals 503 problems with `Retry-After`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or scope["path"].startswith(PROXY_PATHS):
            await self._app(scope, receive, send)
            return
        started = replaced = False

        async def send_translated(message: Message) -> None:
            nonlocal started, replaced
            started = True
            if message["type"] == "http.response.start" and message["status"] in TRANSLATED:
                headers = Headers(raw=message["headers"])
                # Refusals of the service are JSON; the proxy's are plain text.
                if OWN_MARK not in headers and headers.get("content-type", "").startswith("text/plain"):
                    replaced = True
                    await _send_problem(scope, headers.get("x-request-id", ""), send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, send_translated)
        if not started:
            # The replica died with the request. Serve then says nothing, and its server a bare 500.
            await _send_problem(scope, Headers(scope=scope).get("x-request-id", ""), send)


async def _send_problem(scope: Scope, request_id: str, send: Send) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
        (OWN_MARK.encode(), b"nosniff"),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": problem_bytes(503, DETAIL, scope["path"], request_id)})
