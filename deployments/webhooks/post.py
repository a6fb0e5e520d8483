"""One try to deliver one webhook over HTTP, and what its answer means.

Owns the limits of the exchange and the verdict on it. Redirects are not followed, no proxy of the
environment is used, no answer's body is read: httpcore does none of these by itself.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

import certifi
import httpcore

from deployments.webhooks.pinned_network import AddressRefusedError, PinnedNetwork
from deployments.webhooks.receiver import Receiver

CONNECT_S = 3.0


class Verdict(StrEnum):
    """What one try came to."""

    DELIVERED = "delivered"
    FAILED = "failed"  # to be tried again
    GONE = "gone"  # the receiver wants no more of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """A try's verdict, its cause in words for the log, and how long the receiver asked to wait."""

    verdict: Verdict
    cause: str
    retry_after_s: float = 0.0


class Poster:
    """Posts webhooks; one object serves all of a replica's, each on a connection of its own."""

    def __init__(self, network: PinnedNetwork, timeout_s: float, trust: ssl.SSLContext | None = None) -> None:
        """`timeout_s`: of a whole try. `trust`: default the system's authorities and certifi's."""
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust or _public_trust(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=network,
        )

    async def post(self, receiver: Receiver, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send `body`; never raises for what a receiver does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(receiver, headers, body)
        except TimeoutError:
            return Outcome(Verdict.FAILED, f"no answer within {self._timeout_s:g} s")
        except AddressRefusedError as error:
            return Outcome(Verdict.FAILED, f"address refused: {error}")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            return Outcome(Verdict.FAILED, f"{type(error).__name__}: {error}"[:300])

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()

    async def _exchange(self, receiver: Receiver, headers: Mapping[str, str], body: bytes) -> Outcome:
        sent: dict[str | bytes, str | bytes] = {
            "Host": receiver.authority,
            "User-Agent": "tapcut-webhook",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Accept": "*/*",
            "Connection": "close",
        }
        sent.update(headers.items())
        url = httpcore.URL(
            scheme=receiver.scheme, host=receiver.host, port=receiver.port, target=receiver.target
        )
        limits = {"connect": CONNECT_S, "read": self._timeout_s, "write": self._timeout_s}
        async with self._pool.stream(
            "POST",
            url,
            headers=sent,
            content=body,
            extensions={"timeout": limits},
        ) as response:
            found = {name.lower(): value for name, value in response.headers}
            return judge(response.status, found.get(b"retry-after"))


def judge(status: int, retry_after: bytes | None) -> Outcome:
    """What an answer means."""
    if 200 <= status < 300:
        return Outcome(Verdict.DELIVERED, f"answer {status}")
    if status == 410:
        return Outcome(Verdict.GONE, "answer 410: the receiver wants no more")
    if 300 <= status < 400:
        return Outcome(Verdict.FAILED, f"answer {status}: redirects are not followed, give the final address")
    asked = _seconds(retry_after) if retry_after is not None and status in (429, 503) else 0.0
    return Outcome(Verdict.FAILED, f"answer {status}", asked)


def _seconds(text: bytes) -> float:
    """A `Retry-After`, which is seconds or a date; 0 when it is neither."""
    try:
        value = text.decode("ascii").strip()
        if value.isdigit():
            return float(value[:9])
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _public_trust() -> ssl.SSLContext:
    # The system's may be missing in a slim image, certifi's lacks what the operator added to the system's.
    trust = ssl.create_default_context()
    trust.load_verify_locations(certifi.where())
    return trust
