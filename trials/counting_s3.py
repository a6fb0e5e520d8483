"""`python -m trials.counting_s3 PORT`: an S3 endpoint on loopback that counts what it is asked.

Owns the counting, by kind of request and in bytes of bodies; the endpoint is moto's server, in memory. `GET
/counts` answers the sums so far as JSON; nothing is refused, credentials are not looked at.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Counting:
    """A WSGI application around another one."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/counts":
            with self._lock:
                body = json.dumps(self._counts).encode()
            start_response(
                "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            )
            return [body]
        kind = _kind(environ["REQUEST_METHOD"], environ["QUERY_STRING"])
        received = int(environ.get("CONTENT_LENGTH") or 0)

        def counted(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            sent = 0
            if environ["REQUEST_METHOD"] == "GET":
                sent = sum(int(value) for name, value in headers if name.lower() == "content-length")
            with self._lock:
                self._counts.update({kind: 1, "bytes in": received, "bytes out": sent})
            return start_response(status, headers, *rest)

        return self._app(environ, counted)


def _kind(method: str, query: str) -> str:
    """The field's name of a request."""
    if method == "GET" and "list-type=2" in query:
        return "LIST"
    if method == "POST" and query.startswith("delete"):
        return "DELETE"
    return method


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as object storage does

    def log_request(self, *_: Any) -> None:
        """Not each of thousands."""


def main() -> None:
    """Serve until ended."""
    app = Counting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=_Quiet)
    server.serve_forever()


if __name__ == "__main__":
    main()
