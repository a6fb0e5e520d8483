"""The address that a client wants its webhooks at: read once, refused early, normalised.

Owns the form of a `callback_url`. What its host resolves to is looked at on every try, by
`pinned_network.py`: a name may mean something else by then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Self
from urllib.parse import urlsplit

import idna

from deployments.webhooks.addresses import Allowance, is_public
from settings import Settings

MAX_URL = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}
HTTP_PORTS = (80, 8080)

_TARGET = re.compile(r"[!-~]*")  # printable ASCII without space
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class ReceiverRefusedError(Exception):
    """The address cannot be used; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A checked address. `host` is lower case, in ASCII, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)  # path and query, which may hold a client's secret

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port: as in a URL and the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as text, which `read` reads as the same again."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @classmethod
    def read(cls, url: str, rules: ReceiverRules) -> Self:
        """The receiver at `url`.

        Raises:
            ReceiverRefusedError: it is malformed, or not allowed here.
        """
        if len(url) > MAX_URL:
            raise ReceiverRefusedError(f"longer than {MAX_URL} characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ReceiverRefusedError("not a URL: give one such as https://example.com/hook") from error
        scheme = parts.scheme
        if scheme not in rules.schemes:
            raise ReceiverRefusedError(f"begin it with {' or '.join(f'{name}://' for name in rules.schemes)}")
        if "@" in parts.netloc:
            raise ReceiverRefusedError("no user name or password in it: put a token into the path or query")
        if "#" in url:
            raise ReceiverRefusedError("no #fragment in it: it would not be sent")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _TARGET.fullmatch(target) or "\\" in url or any(ord(letter) <= 32 for letter in url):
            raise ReceiverRefusedError("path and query must be ASCII without spaces: percent-encode the rest")
        host = _read_host(parts.hostname or "")
        chosen = port if port is not None else DEFAULT_PORTS[scheme]
        rules.check(host, chosen)
        return cls(scheme, host, chosen, target)


@dataclass(frozen=True, slots=True)
class ReceiverRules:
    """What the operator allows."""

    schemes: tuple[str, ...]
    ports: tuple[int, ...]
    allowance: Allowance

    @classmethod
    def of(cls, settings: Settings) -> ReceiverRules:
        """The rules that the settings make."""
        http = settings.webhook_allow_http
        return cls(
            schemes=("https", "http") if http else ("https",),
            ports=(*settings.webhook_ports, *(HTTP_PORTS if http else ())),
            allowance=Allowance.of(settings.webhook_private_hosts),
        )

    def check(self, host: str, port: int) -> None:
        """Refuse what can be refused without looking the host up.

        Raises:
            ReceiverRefusedError: a private address or name, or a port that is not open to webhooks.
        """
        if self.allowance.names(host):
            return
        try:
            public = is_public(ip_address(host))
        except ValueError:
            public = "." in host and not host.endswith((".localhost", ".local", ".internal", ".arpa"))
        if not public:
            raise ReceiverRefusedError(f"{host} is not on the public internet: give a public host")
        if port not in self.ports:
            raise ReceiverRefusedError(
                f"port {port} is not open to webhooks: use one of {', '.join(map(str, self.ports))}"
            )


def _read_host(text: str) -> str:
    """The host in ASCII, checked. Numbers in other forms than an address's own are refused.

    Resolvers take 127.1, 0x7f000001 and 2130706433 for 127.0.0.1.
    """
    if ":" in text:
        try:
            address = IPv6Address(text)
        except ValueError as error:
            raise ReceiverRefusedError(f"{text} is not an IPv6 address") from error
        if address.scope_id is not None:
            raise ReceiverRefusedError("no zone in an IPv6 address")
        return str(address)
    try:
        # One trailing dot means the same host, and would be another name in certificates and logs.
        host = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ReceiverRefusedError("its host is not a valid international name") from error
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ReceiverRefusedError("its host is not a valid name: give one such as https://example.com/hook")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            return str(ip_address(host))
        except ValueError as error:
            raise ReceiverRefusedError(f"{host} is neither a name nor an address") from error
    return host
