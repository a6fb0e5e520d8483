"""When and how long to wait before a request is sent again.

Owns the policy. That sending again is safe is the operations' business: uploads and segment calls
carry an idempotency key, all others change nothing or end in the same state.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tapcut_client.errors import ConnectionFailed, error_of, moved, retry_after_s
from tapcut_client.steps import Operation, Pause, Reply, Send

RETRIED = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter, never shorter than the service's `Retry-After`.

    `tries` counts the first one; `total_s` bounds all waiting of one call; a `Retry-After` that does
    not fit into what is left of it ends the tries at once. `on_wait` hears of each pause (seconds) and why.
    """

    tries: int = 8
    base_s: float = 0.25
    cap_s: float = 20.0
    total_s: float = 120.0
    chance: Callable[[], float] = random.random  # uniform in 0..1
    on_wait: Callable[[float, Exception], None] | None = None

    def pause_s(self, tried: int, asked_s: float | None) -> float:
        """Seconds to wait after try number `tried` (from 1), when the service asked for `asked_s`."""
        backoff = self.chance() * min(self.cap_s, self.base_s * 2.0**tried)
        if asked_s is None:
            return backoff
        # All who were refused together must not come back together.
        return asked_s + self.chance() * max(0.25, 0.25 * asked_s)


def with_retries(
    policy: RetryPolicy,
    make: Callable[[], Send],
    *,
    also: Callable[[Reply], bool] = lambda reply: False,
) -> Operation[Reply]:
    """Send what `make` makes (anew for each try) until it is answered with less than 300.

    `also` names further answers worth another try.

    Raises:
        BadAddress: the answer points elsewhere.
        ApiError: the service refuses, and not for now only, or the policy is used up.
        ConnectionFailed: no answer, and the policy is used up.
    """
    deadline = time.monotonic() + policy.total_s
    tried = 0
    while True:
        tried += 1
        problem: Exception
        asked_s: float | None = None
        try:
            reply: Reply = yield make()
        except httpx.TransportError as error:
            problem = connection_failed(error)
            problem.__cause__ = error
        else:
            if reply.status < 300:
                return reply
            if reply.status < 400:
                raise moved(reply)
            problem = error_of(reply)
            if reply.status not in RETRIED and not also(reply):
                raise problem
            asked_s = retry_after_s(reply)
        pause_s = policy.pause_s(tried, asked_s)
        if tried >= policy.tries or time.monotonic() + pause_s > deadline:
            raise problem
        if policy.on_wait is not None:
            policy.on_wait(pause_s, problem)
        yield Pause(pause_s)


def connection_failed(error: httpx.TransportError) -> ConnectionFailed:
    """The client's own error for one of httpx, with the address that did not answer."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    try:
        url = error.request.url
    except RuntimeError:  # raised before there was a request
        return ConnectionFailed(said)
    return ConnectionFailed(f"no answer from {url.scheme}://{url.netloc.decode()}: {said}")
