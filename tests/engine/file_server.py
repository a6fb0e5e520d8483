"""A real HTTP server on this machine that can misbehave as servers on the internet do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What it serves at every path, how, and what it was asked."""

    content: bytes
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes sent before hanging up, one entry a request
    status: int = 200
    chunk_bytes: int = 1 << 16
    pause_s: float = 0.0  # after every chunk
    answer_after_s: float = 0.0
    length: bool = True  # whether Content-Length is sent
    etag: str = ""
    url: str = ""
    asked: list[str | None] = field(default_factory=list)  # the Range header of every request

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        time.sleep(self.answer_after_s)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            last = len(self.content) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        if self.cut_after:
            body = body[: self.cut_after.pop(0)]
        for begin in range(0, len(body), self.chunk_bytes):
            request.wfile.write(body[begin : begin + self.chunk_bytes])
            time.sleep(self.pause_s)
        request.close_connection = True


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                server.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/file.pt"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
