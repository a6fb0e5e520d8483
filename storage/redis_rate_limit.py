"""The rate of each tenant in Redis, so that all replicas share it.

Owns the answer's reading; the rule is `redis_scripts/spend.lua`: the generic cell rate algorithm (ITU-T
I.371), which needs one time stamp a tenant and lets through exactly what a leaky bucket would.
"""

from __future__ import annotations

from storage import redis_keys
from storage.rate_limit import TENTHS, RateLimit, RateVerdict
from storage.redis_connection import RedisConnection


class RedisRateLimiter:
    """`RateLimiter` on Redis's clock."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection

    async def spend(self, owner: str, tenths: int, limit: RateLimit) -> RateVerdict:
        """Count a call of `tenths` of one, at most the burst, if allowed. Raises `StoreUnavailable`.

        A command that redis-py sends again because its answer was lost counts twice.
        """
        interval, full = limit.interval_us, limit.burst * TENTHS * limit.interval_us
        allowed, debt_us, wait_us = await self._redis.run(
            "spend", redis_keys.RATE + owner, tenths * interval, full
        )
        return RateVerdict(
            allowed=bool(allowed),
            retry_after_s=int(wait_us) / 1e6,
            remaining=(full - int(debt_us)) // (interval * TENTHS),
            whole_after_s=int(debt_us) / 1e6,
        )
