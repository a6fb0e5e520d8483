"""A receiver of webhooks: `WEBHOOK_SECRET=whsec_... python docs/webhook_receiver.py 8080`."""

import base64
import hmac
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether `body` comes from the service, unchanged and fresh. `headers` by lower-case name."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    digest = hmac.digest(key, f"{message}.{timestamp}.".encode() + body, "sha256")
    expected = "v1," + base64.b64encode(digest).decode()
    fresh = timestamp.isdigit() and abs(time.time() - int(timestamp)) < 300
    given = headers.get("webhook-signature", "").split(" ")
    return fresh and any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)


class Receiver(BaseHTTPRequestHandler):
    """Prints each webhook. A real one also keeps the ids that it took, and takes each once."""

    def do_POST(self) -> None:
        """Take one webhook: 204, or 401 when it is not signed with our secret."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        known = verify(os.environ["WEBHOOK_SECRET"], headers, body)
        if known:
            print(headers["webhook-id"], body.decode())
        self.send_response(204 if known else 401)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
