"""What a page of another site can make a browser send here, refused.

Owns two checks that matter where no key is asked for: a page that posts blindly to this service, and a
page whose own name was made to mean this service's address (DNS rebinding). Reading is CORS's matter.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.problems import OtherSiteError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class OtherSites:
    """Lets through what is called by an allowed name and not sent by another site's page."""

    def __init__(self, app: ASGIApp, allowed_hosts: str, cors_origins: str) -> None:
        """`allowed_hosts`: names parted by commas, "" for any; `cors_origins` as in the settings."""
        self._app = app
        self._hosts = frozenset(filter(None, allowed_hosts.lower().split(",")))
        self._origins = frozenset(filter(None, cors_origins.split(",")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through.

        Raises:
            OtherSiteError: it is not meant for this service, or comes from a page of another site.
        """
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host = _without_port(headers.get("host", "").lower())
            if self._hosts and host not in self._hosts:
                raise OtherSiteError(
                    "This service is not known by the name it was called by: set ALLOWED_HOSTS to that name"
                )
            # Browsers set this header themselves; no page can change it and no proxy falsifies it.
            site = headers.get("sec-fetch-site", "none")
            allowed = self._origins & {"*", headers.get("origin", "")}
            if scope["method"] not in SAFE_METHODS and site in ("cross-site", "same-site") and not allowed:
                raise OtherSiteError(
                    "Pages of other sites may not call this service: set CORS_ORIGINS to theirs"
                )
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
