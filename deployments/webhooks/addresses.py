"""Which network addresses a webhook may be sent to: the internet's, and what the operator allows.

Owns the judgement on one address or host name. A client chooses where webhooks go, so that without it
the service could be made to call what only its own network reaches: metadata services, databases, itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# IANA's special-purpose registries, written out: `is_global` has changed its mind between Python releases.
_CLOSED = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, and metadata services of some clouds
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_IPV6_INTERNET = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # how a network without IPv4 reaches all of it


def is_public(address: Address) -> bool:
    """Whether the address is one of the internet's, also through an IPv4 address embedded in it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _IPV6_INTERNET or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and not any(address in block for block in _CLOSED)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Hosts and blocks of addresses that are allowed although they are not public."""

    hosts: frozenset[str]
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> Allowance:
        """From names, addresses and CIDR blocks, as in the setting WEBHOOK_ALLOW_PRIVATE.

        Raises:
            ValueError: an entry is none of these.
        """
        hosts, blocks = set(), []
        for entry in entries:
            try:
                blocks.append(str(ip_network(entry, strict=False)))
            except ValueError:
                if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", entry) or re.fullmatch(
                    r"[\d.]+", entry
                ):
                    raise ValueError(f"{entry!r} is no host name, address or CIDR block") from None
                hosts.add(entry.lower())
        return cls(frozenset(hosts), tuple(blocks))

    def names(self, host: str) -> bool:
        """Whether the operator named this host, by name or, when it is an address, by its block."""
        if host in self.hosts:
            return True
        try:
            return self.holds(ip_address(host))
        except ValueError:
            return False

    def holds(self, address: Address) -> bool:
        """Whether the address lies in an allowed block."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in ip_network(block) for block in self.blocks)

    def may_connect(self, host: str, address: Address) -> bool:
        """Whether `host`, which has this address, may be called there."""
        return is_public(address) or self.holds(address) or host in self.hosts
