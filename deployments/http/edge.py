"""The edge: what every request is held to before anything of the service sees it.

Owns which headers a client may send, how large and how slow a body may be, and the answers to those that
break the limits. Plain ASGI, runs inside Ray Serve's HTTP proxy (`edge_of_proxy`), and once more in the
ingress, for the case that the proxy was started without it. Keeps no body: bytes pass through as they come,
but for short ones, which go with their request's head.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from settings import Settings, read_settings

UPLOAD_PATH = "/upload"
FORM_OVERHEAD_BYTES = 16_384  # boundaries and headers around the file
SLOW_S = 2.0  # a body that takes longer may have to make way for others
WINDOW_BYTES = 1 << 19  # of one body, between the socket and the ingress
# In the scope, from the edge at the socket to the one in the ingress: a whole body of at most so many bytes.
# What the ingress fetches of a body costs it a call back to the proxy.
_CARRIED, CARRIED_BYTES = "tapcut.body", 65_536
LINGER_S = 2.0  # for which a refused body is still read, so that the client gets to see the answer

# What Serve takes from a request to steer itself; `-` and `_` are the same to it, and so is any case.
_CONTROL_HEADERS = {
    b"x-request-timeout-seconds",
    b"x-request-disconnect-disabled",
    b"serve-multiplexed-model-id",
    b"x-session-id",
    os.environ.get("RAY_SERVE_SESSION_ID_HEADER_KEY", "x-session-id").lower().replace("_", "-").encode(),
}
_CONTROL_PREFIX = b"x-serve-router-"
_REQUEST_ID = b"x-request-id"
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What a request may bring."""

    upload_bytes: int  # of an uploaded file
    json_bytes: int  # of any other body
    silence_s: float  # between two pieces of a body
    body_s: float  # for a whole body
    head_s: float  # for request line and headers
    cors_origins: tuple[str, ...] = ()  # whose pages may read the answers
    head_bytes: int = 65_536
    arriving: int = 40  # bodies at once; beyond it the slowest are refused
    waiting: int = 512  # connections without a request's head; beyond it the oldest are closed

    @classmethod
    def of(cls, settings: Settings) -> EdgeLimits:
        """The limits that the settings give."""
        return cls(
            upload_bytes=int(settings.max_upload_mb * 1_000_000),
            json_bytes=int(settings.max_json_mb * 1_000_000),
            silence_s=settings.body_silence_s,
            body_s=settings.body_timeout_s,
            head_s=settings.head_timeout_s,
            cors_origins=tuple(filter(None, settings.cors_origins.split(","))),
        )


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    detail: str
    retry_after_s: int | None = None


class Edge:
    """Passes requests on without control headers, and cuts off bodies that are too large or too slow."""

    def __init__(self, app: ASGIApp, limits: EdgeLimits, at_socket: bool) -> None:
        """`at_socket`: in the HTTP proxy, where answers need their request id and connections their end."""
        self._app = app
        self._limits = limits
        self._at_socket = at_socket
        self._arriving: set[_Passage] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": _cleaned(scope["headers"])}
        if scope["type"] == "websocket" or not _announces_body(scope):
            await self._app(scope, receive, send)
            return
        if not self._at_socket:
            carried = scope.pop(_CARRIED, None)
            receive = receive if carried is None else _body_first(carried, _without_body(receive))
        passage = _Passage(scope, receive, send, self._limits, self._at_socket)
        self._make_room()
        self._arriving.add(passage)
        try:
            await passage.run(self._app, on_arrived=lambda: self._arriving.discard(passage))
        finally:
            self._arriving.discard(passage)

    def _make_room(self) -> None:
        # A body that trickles in holds one of the ingress's places: the slowest make way for the next.
        slow = [passage for passage in self._arriving if passage.age_s > SLOW_S]
        excess = len(self._arriving) + 1 - self._limits.arriving
        for passage in sorted(slow, key=lambda one: one.rate)[: max(0, excess)]:
            passage.make_way()


class _Piece(dict[str, object]):
    """A message of a body that tells when the server behind has let go of it.

    Serve's proxy queues what it receives without limit until the ingress fetches it. A message's end is
    the one sign that it was fetched; it is sent as the plain dictionary it also is.
    """

    def __init__(self, message: Message, on_end: Callable[[], None]) -> None:
        super().__init__(message)
        self._on_end = on_end

    def __del__(self) -> None:
        self._on_end()

    def __reduce__(self) -> tuple[type[dict[str, object]], tuple[dict[str, object]]]:
        return dict, (dict(self),)


class _Passage:
    """One request with a body on its way through."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limits: EdgeLimits, at_socket: bool
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limits = limits
        self._at_socket = at_socket
        self._is_upload = scope["path"].rstrip("/") == UPLOAD_PATH
        self._most = limits.upload_bytes + FORM_OVERHEAD_BYTES if self._is_upload else limits.json_bytes
        self._begun = time.monotonic()
        self._taken = 0
        self._more = True  # of the body is to come
        self._under_way = 0  # bytes that were received and not fetched yet,
        self._pieces = 0  # in so many messages
        self._fetched = asyncio.Event()
        self._held_s = 0.0  # spent waiting for the service, not for the client
        self._crowded = False
        self._waiting: asyncio.Timeout | None = None
        self._started = False  # an answer is under way
        self._ended = False  # we answered ourselves
        self._on_arrived: Callable[[], None] = lambda: None

    @property
    def age_s(self) -> float:
        """Since the request came."""
        return time.monotonic() - self._begun

    @property
    def rate(self) -> float:
        """Bytes a second so far."""
        return self._taken / max(self.age_s, 1e-3)

    async def run(self, app: ASGIApp, on_arrived: Callable[[], None]) -> None:
        """Pass it through; `on_arrived` is called when the body is complete."""
        self._on_arrived = on_arrived
        declared = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared[:20]) > self._most:
            await self._refuse(self._too_large())
            return
        if self._at_socket and not self._is_upload and declared.isdigit() and int(declared) <= CARRIED_BYTES:
            body = await self._whole_body()
            if body is None:
                return
            # Received it can be as well, by an application that knows nothing of this.
            await app({**self._scope, _CARRIED: body}, _body_first(body, self._pass_in), self._pass_out)
            return
        await app(self._scope, self._pass_in, self._pass_out)

    def make_way(self) -> None:
        """Refuse the rest of the body: others wait."""
        self._crowded = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _whole_body(self) -> bytes | None:
        """All of it; None when it was refused or its client has gone."""
        body = bytearray()
        while self._more:
            message = await self._pass_in()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
        return bytes(body)

    async def _pass_in(self) -> Message:
        if self._ended:
            return {"type": "http.disconnect"}
        if not self._more:
            return await self._receive()
        await self._wait_for_room()
        left_s = self._limits.body_s + self._held_s - self.age_s
        try:
            async with asyncio.timeout(min(self._limits.silence_s, left_s)) as self._waiting:
                message = await self._receive()
        except TimeoutError:
            await self._refuse(self._too_slow(left_s))
            return {"type": "http.disconnect"}
        finally:
            self._waiting = None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._more = message.get("more_body", False)
            if self._taken > self._most:
                await self._refuse(self._too_large())
                return {"type": "http.disconnect"}
        else:
            self._more = False
        if not self._more:
            self._on_arrived()
        return self._followed(message) if self._at_socket else message

    async def _wait_for_room(self) -> None:
        begun = time.monotonic()
        # The server behind keeps hold of the last message until it is given the next.
        while self._under_way > WINDOW_BYTES and self._pieces > 1:
            self._fetched.clear()
            await self._fetched.wait()
        self._held_s += time.monotonic() - begun

    def _followed(self, message: Message) -> Message:
        size = len(message.get("body", b""))
        self._under_way += size
        self._pieces += 1

        def fetched() -> None:
            self._under_way -= size
            self._pieces -= 1
            self._fetched.set()

        return _Piece(message, fetched)

    async def _pass_out(self, message: Message) -> None:
        if self._ended:
            return
        if message["type"] == "http.response.start":
            self._started = True
            if self._more and self._at_socket:
                # Answered before the body came: what follows of it would be read without limit.
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        elif self._more and self._at_socket and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _refuse(self, refusal: _Refusal) -> None:
        """Answer in the application's place and end the connection."""
        self._ended = True
        if self._started:
            return
        request_id = next(value for name, value in self._scope["headers"] if name == _REQUEST_ID)
        body = problem_bytes(refusal.status, refusal.detail, self._scope["path"], request_id.decode())
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        if refusal.retry_after_s is not None:
            headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
        origin = next((value for name, value in self._scope["headers"] if name == b"origin"), b"")
        if origin.decode("latin-1") in self._limits.cors_origins or "*" in self._limits.cors_origins:
            headers.append((b"access-control-allow-origin", origin))
        if self._at_socket:  # elsewhere the proxy adds it
            headers.append((_REQUEST_ID, request_id))
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self._at_socket:
            await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _linger(self) -> None:
        # Closing while bytes are unread resets the connection, and the client may lose the answer.
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while self._more:
                    message = await self._receive()
                    self._more = message.get("more_body", False)

    def _too_large(self) -> _Refusal:
        if self._is_upload:
            limit = f"{self._limits.upload_bytes / 1e6:g}"
            return _Refusal(400, self._worded(f"the file is larger than the limit of {limit} MB"))
        return _Refusal(413, f"The body is larger than the limit of {self._limits.json_bytes / 1e6:g} MB")

    def _too_slow(self, left_s: float) -> _Refusal:
        if self._crowded:
            why = "too many bodies are arriving at once and this one was slow: send it again"
            return _Refusal(503, self._worded(why), retry_after_s=5)
        if left_s <= self._limits.silence_s:
            return _Refusal(408, self._worded(f"the body took more than {self._limits.body_s:g} s"))
        return _Refusal(408, self._worded(f"no byte of the body came for {self._limits.silence_s:g} s"))

    def _worded(self, text: str) -> str:
        return f"Upload failed: {text}" if self._is_upload else text[:1].upper() + text[1:]


def _body_first(body: bytes, receive: Receive) -> Receive:
    """`receive`, with a whole body before it."""
    unread = [body]

    async def receive_after() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_after


def _without_body(receive: Receive) -> Receive:
    """`receive` as it goes on behind the body."""

    async def receive_later() -> Message:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message

    return receive_later


def problem_bytes(status: int, detail: str, path: str | None, request_id: str) -> bytes:
    """A problem document like those of `deployments.http.problems`, without FastAPI."""
    fields = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **({"instance": path} if path is not None else {}),
        "request_id": request_id,
    }
    return json.dumps(fields).encode()


def edge_of_proxy() -> list[Middleware]:
    """What Serve's HTTP proxy calls by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH when it starts.

    Raises:
        SettingsError: the proxy's environment has settings that are not.
    """
    from deployments.http.edge_connection import guard_connections
    from deployments.http.serve_answers import ServeAnswers

    limits = EdgeLimits.of(read_settings())
    guard_connections(limits)
    # The last is the outermost.
    return [Middleware(ServeAnswers), Middleware(Edge, limits=limits, at_socket=True)]


def _announces_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _cleaned(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers without those that steer Serve, and with exactly one request id of harmless letters."""
    kept, request_id = [], None
    for name, value in headers:
        plain = name.lower().replace(b"_", b"-")
        if plain in _CONTROL_HEADERS or plain.startswith(_CONTROL_PREFIX):
            continue
        if plain != _REQUEST_ID:
            kept.append((name, value))
        elif request_id is None and _SANE_ID.fullmatch(value):
            request_id = value
    return [*kept, (_REQUEST_ID, request_id or uuid.uuid4().hex.encode())]
