"""What Serve's HTTP proxy answers by itself, in words that a client can act on.

Owns the translation of the proxy's own plain refusals: a replica that died with a request, a fresh proxy
that does not know the application yet. The service's own answers pass untouched.
"""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_MARK = "x-content-type-options"  # on the service's answers, on none of the proxy's
PROXY_PATHS = "/-/"  # the proxy's own health and routes
RETRY_AFTER_S = 1
# 404: the proxy has no routes yet; 500: the replica died with the request; 503: none is there.
TRANSLATED = (404, 500, 503)
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
        replaced = False

        async def send_translated(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] in TRANSLATED:
                headers = Headers(raw=message["headers"])
                # Refusals of the service are JSON; the proxy's are plain text.
                if OWN_MARK not in headers and headers.get("content-type", "").startswith("text/plain"):
                    replaced = True
                    await _send_problem(scope, headers.get("x-request-id", ""), send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, send_translated)


def proxy_middlewares() -> list[Middleware]:
    """What Serve's HTTP proxy calls by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH when it starts."""
    return [Middleware(ServeAnswers)]


async def _send_problem(scope: Scope, request_id: str, send: Send) -> None:
    body = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": DETAIL,
        "instance": scope["path"],
        **({"request_id": request_id} if request_id else {}),
    }
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
        (OWN_MARK.encode(), b"nosniff"),
    ]
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
