"""A receiver of webhooks that does what a test or a trial tells it to, and keeps what it got.

Owns the server and its misbehaviour. Can be stopped and started again on its port.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One post as it came. `at`: seconds since the epoch; `answer`: the status it got, 0 when none."""

    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes
    at: float
    answer: int


# A status, with headers, or something to do in place of an answer.
Step = int | tuple[int, dict[str, str]] | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class WebhookServer:
    """On 127.0.0.1; answers by `script` in turn, then by `plan`, which is told the path, else 204."""

    script: list[Step] = field(default_factory=list)
    plan: Callable[[str], Step] | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0
    received: list[Received] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> WebhookServer:
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> list[str]:
        """Of all posts, also repeated ones."""
        return [one.headers["webhook-id"] for one in self.received]

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            if self.script:
                step = self.script.pop(0)
            else:
                step = self.plan(handler.path) if self.plan is not None else 204
            status, extra = (0, {}) if callable(step) else step if isinstance(step, tuple) else (step, {})
            self.received.append(Received(handler.path, headers, body, time.time(), status))
        if callable(step):
            step(handler)
        else:
            handler.send_response(status)
            for name, value in extra.items():
                handler.send_header(name, value)
            handler.end_headers()
        with self._lock:
            self._now -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    # Any: as socketserver types them.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that give up or die are what it is for


def hang(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer nothing for so long, then close."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return step


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Close at once, in the middle of the answer's headers."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    """200, and a body without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass
    handler.close_connection = True
