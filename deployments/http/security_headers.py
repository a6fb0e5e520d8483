"""Headers that tell browsers what an answer may do.

Owns the policies. HSTS is left to whatever ends TLS in front of the service, which alone knows that it does.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

# An answer of the API is data: nothing in it may load or run anything, nor be framed.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# What the page itself asks for (docs/page.md), and what only a header can say.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI draws its icons from data addresses.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PERMISSIONS = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
# The page takes commands by voice, where the browser recognises speech; only the page itself may listen.
PAGE_PERMISSIONS = PERMISSIONS.replace("microphone=()", "microphone=(self)")

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Of embedding only: a page of an origin in CORS_ORIGINS fetches what it likes.
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNLESS_SAID = {
    "Content-Security-Policy": API_POLICY,
    "Cache-Control": "no-store",
    "Permissions-Policy": PERMISSIONS,
}


def add_security_headers(headers: MutableHeaders) -> None:
    """Complete the headers of one answer; a policy or caching rule that it brings stays."""
    headers.update(_ALWAYS)
    for name, value in _UNLESS_SAID.items():
        headers.setdefault(name, value)
