"""What the launcher and `make doctor` both ask of this machine's own addresses.

Owns why an address cannot be listened on, and asking a service there.
"""

from __future__ import annotations

import errno
import socket
import urllib.request

# Not through `http_proxy`: a proxy's 127.0.0.1 is another machine.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def why_not_bound(host: str, port: int, error: OSError | UnicodeError) -> tuple[str, str] | None:
    """What is wrong with an address that could not be bound, and how to mend it; None if it is taken.

    A `UnicodeError` comes of a name that no host can have.
    """
    if isinstance(error, PermissionError):
        return f"port {port} on {host} is not allowed", "set PORT to 1024 or more"
    if isinstance(error, (socket.gaierror, UnicodeError)) or error.errno == errno.EADDRNOTAVAIL:
        return (
            f"HOST {host} is no IPv4 address of this machine",
            "set HOST=127.0.0.1, or 0.0.0.0 for all of its addresses",
        )
    return None
