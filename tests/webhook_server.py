"""A receiver of webhooks that does what a test tells it to, and keeps what it got."""

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
    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes


@dataclass
class WebhookServer:
    """On 127.0.0.1; answers by `script` (a status, with headers, or something to do), then 204."""

    script: list[int | tuple[int, dict[str, str]] | Callable[[BaseHTTPRequestHandler], None]] = field(
        default_factory=list
    )
    tls: ssl.SSLContext | None = None
    port: int = 0
    received: list[Received] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> WebhookServer:
        outer, lock = self, threading.Lock()
        now = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                nonlocal now
                with lock:
                    now += 1
                    outer.most_at_once = max(outer.most_at_once, now)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with lock:
                    outer.received.append(Received(self.path, headers, body))
                    step: Any = outer.script.pop(0) if outer.script else 204
                if callable(step):
                    step(self)
                else:
                    status, extra = step if isinstance(step, tuple) else (step, {})
                    self.send_response(status)
                    for name, value in extra.items():
                        self.send_header(name, value)
                    self.end_headers()
                with lock:
                    now -= 1

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that give up are part of the tests

        self._server = Server(("127.0.0.1", self.port), Handler)
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
        return [one.headers["webhook-id"] for one in self.received]


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
