"""Connections to vetted addresses only: what a host's name resolves to is judged and used in one step.

Owns the look-up and the connecting. A name that means a public address when it is asked and a private
one when it is called ("rebinding") has no second look-up to lie to. TLS and the `Host` header stay with
the name: httpcore makes them from the URL.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import httpcore

from deployments.webhooks.addresses import Allowance

RESOLVE_S = 3.0
RESOLVER_THREADS = 64  # a name server that hangs holds one for as long as the system's resolver waits

Resolve = Callable[[str, int], list[str]]  # host and port -> addresses; blocks; raises OSError


class AddressRefusedError(Exception):
    """The host has an address that webhooks may not be sent to."""


def system_resolve(host: str, port: int) -> list[str]:
    """The host's addresses as the system knows them, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedNetwork(httpcore.AsyncNetworkBackend):
    """httpcore's network, with our own look-up."""

    def __init__(self, allowance: Allowance, resolve: Resolve = system_resolve) -> None:
        self._allowance = allowance
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver")
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        # Any: httpcore's own type for socket options is private.
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers; each gets its share of the time.

        Raises:
            AddressRefusedError: any of them may not be called; none is.
            httpcore.ConnectError: there are none, or none answers.
        """
        addresses = await self._vetted(host, port)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refused: webhooks go to hosts."""
        raise AddressRefusedError("a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Let go of the resolver's threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _vetted(self, host: str, port: int) -> list[str]:
        host = host.strip("[]")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await loop.run_in_executor(self._threads, self._resolve, host, port)
        except TimeoutError as error:
            raise httpcore.ConnectError(f"the name server did not answer within {RESOLVE_S:g} s") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name is not known: {error}") from error
        if not found:
            raise httpcore.ConnectError("the name has no address")
        for address in found:
            if not self._allowance.may_connect(host, ip_address(address)):
                raise AddressRefusedError(f"it resolves to {address}, which is not on the public internet")
        return found[:4]
