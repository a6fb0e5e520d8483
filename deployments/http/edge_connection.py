"""Connections of the HTTP proxy that say nothing, or never stop saying headers.

Owns a guarded kind of uvicorn's connection. uvicorn itself waits for ever for a request's head and keeps
whatever comes of it; Serve does not hand its settings through, so the kind of connection is exchanged
where uvicorn looks it up, inside the proxy alone.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from deployments.http.edge import EdgeLimits

_FRAMING = 8  # bytes on the wire for one of a body: a client may send it in the smallest of chunks
_limits: EdgeLimits | None = None
_waiting: dict[GuardedConnection, None] = {}  # for a request's head, the longest first


def guard_connections(limits: EdgeLimits) -> None:
    """Let this process's HTTP server, which is not started yet, hold connections to `limits`."""
    global _limits
    _limits = limits
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:GuardedConnection"


class GuardedConnection(HttpToolsProtocol):
    """A connection whose request heads end in time and in size, and whose bodies have an end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        assert _limits is not None
        self._limits = _limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to heads and to bodies."""
        if self._is_answering():
            self._body_bytes += len(data)
        else:
            self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        most = max(self._limits.upload_bytes, self._limits.json_bytes)
        if self._head_timer is not None and self._head_bytes > self._limits.head_bytes:
            self._refuse(431, f"The request's head is larger than {self._limits.head_bytes >> 10} KiB")
        elif self._body_bytes > _FRAMING * most:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_ended()
        self._body_bytes = 0
        super().on_headers_complete()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._head_late)
            _waiting[self] = None
            if len(_waiting) > self._limits.waiting:
                # Each holds a descriptor, and those of this process are numbered.
                next(iter(_waiting)).transport.abort()

    def _head_ended(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
            _waiting.pop(self, None)

    def _head_late(self) -> None:
        self._head_timer = None
        _waiting.pop(self, None)
        if not self._is_answering():
            self._refuse(408, f"The request's head took more than {self._limits.head_s:g} s")

    def _refuse(self, status: int, detail: str) -> None:
        from deployments.http.edge import problem_bytes

        if self.transport.is_closing():
            return
        body = problem_bytes(status, detail, None, uuid.uuid4().hex)
        title = {408: "Request Timeout", 431: "Request Header Fields Too Large"}[status]
        head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()
