"""How often a tenant may call, as values, and what a rate limiter must do.

Owns the frozen values and the `RateLimiter` protocol; the one in Redis is `redis_rate_limit.py`. The
allowance is counted in tenths of a call, so that all arithmetic is of whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

TENTHS = 10  # of one call


@dataclass(frozen=True, slots=True)
class RateLimit:
    """In any time t no more than `burst` + `per_minute` x t/60 s calls are let through."""

    per_minute: int  # 1 to 100,000
    burst: int  # at least 1

    @property
    def interval_us(self) -> int:
        """Time in which a tenth of a call is earned, microseconds; rounded up, never too generous."""
        return -(-60_000_000 // (self.per_minute * TENTHS))

    @property
    def refill_s(self) -> float:
        """Time in which an empty allowance is whole again, seconds."""
        return self.burst * TENTHS * self.interval_us / 1e6


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """What became of one call. Nothing was counted when it was not `allowed`."""

    allowed: bool
    retry_after_s: float  # until the same call would be allowed, 0 when it was
    remaining: int  # whole calls left
    whole_after_s: float  # until the allowance is whole again


class RateLimiter(Protocol):
    """Counts the calls of tenants, over all replicas together."""

    async def spend(self, owner: str, tenths: int, limit: RateLimit) -> RateVerdict:
        """Count a call of `tenths` of one, at most the burst, if allowed. Raises `StoreUnavailable`."""
