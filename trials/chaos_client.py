"""A client of the service as the documentation tells clients to be: patient, with idempotency keys.

Owns what may be tried again and for how long. What may not (any other refusal, an answer that
differs from the first one for the same key) is a finding and is kept as such.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from trials import retry_after

PATIENCE_S = 90.0  # of one call, over all its tries
CALL_TIMEOUT_S = 40.0
LONGEST_WAIT_S = 5.0  # before the next try, whatever `Retry-After` says


class CallFailedError(Exception):
    """A call ended in a way that a client cannot mend by sending it again."""


@dataclass
class Calls:
    """What became of all calls. Seconds are of one try."""

    sent: int = 0
    retried: int = 0
    slowest_refusal_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)  # retryable ones, by what they were


class PatientClient:
    """Sends a call again when the connection breaks or the answer is 503 (409) with `Retry-After`."""

    def __init__(self, url: str, calls: Calls) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=CALL_TIMEOUT_S,
            limits=httpx.Limits(max_keepalive_connections=0),  # each call may meet another process
        )
        self._calls = calls

    async def __aenter__(self) -> PatientClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    # Any: as httpx takes them.
    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, 2xx or 404, after as many tries as it takes.

        Raises:
            CallFailedError: another refusal, or no end of retryable ones.
        """
        deadline, last = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < deadline:
            started = time.monotonic()
            self._calls.sent += 1
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.TransportError as error:
                last, pause_s = type(error).__name__, 0.2
            else:
                if answer.is_success or answer.status_code == 404:
                    return answer
                last = f"{answer.status_code} {answer.text[:160]}"
                told_s = retry_after.pause_s(answer.status_code, answer.headers, LONGEST_WAIT_S)
                if told_s is None:
                    raise self._failed(method, path, last)
                self._calls.slowest_refusal_s = max(self._calls.slowest_refusal_s, time.monotonic() - started)
                pause_s = told_s
            self._calls.retried += 1
            self._calls.refusals[last] = self._calls.refusals.get(last, 0) + 1
            await asyncio.sleep(pause_s)
        raise self._failed(method, path, f"still after {PATIENCE_S:g} s: {last}")

    def _failed(self, method: str, path: str, what: str) -> CallFailedError:
        text = f"{method} {path.split('?')[0]}: {what}"
        self._calls.failures.append(text)
        return CallFailedError(text)
