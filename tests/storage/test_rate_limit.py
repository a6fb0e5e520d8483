"""The rate of a tenant: never more than promised, and a retry at the time it is told is let through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import redis_keys
from storage.errors import StoreUnavailable
from storage.rate_limit import RateLimit, RateVerdict
from storage.redis_connection import RedisConnection, script_text
from storage.redis_rate_limit import RedisRateLimiter
from storage.redis_server import RedisServer, start_redis
from tests.storage.samples import Store

# The script's clock, put in the test's hands: all else of it runs as it is. The key's own life is counted by
# Redis' clock, which goes on while the test's stands still: on a busy machine it would end too early.
LIFE = "'PX', math.ceil(owed / 1000)"
CLOCKED = script_text("spend").replace("redis.call('TIME')", "{0, ARGV[4]}").replace(LIFE, "'PX', 600000")


@pytest.fixture(scope="module")
def clocked(storage_redis: RedisServer) -> object:
    import redis

    assert "TIME" not in CLOCKED and LIFE not in CLOCKED
    client = redis.Redis.from_url(storage_redis.url, decode_responses=True, protocol=2)
    return client.register_script(CLOCKED), client


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_minute=st.integers(1, 100_000),
    burst=st.integers(1, 50),
    calls=st.lists(st.tuples(st.integers(0, 90_000_000), st.sampled_from([1, 2, 10])), max_size=60),
)
def test_no_window_lets_more_through_than_rate_and_burst(
    clocked: tuple, per_minute: int, burst: int, calls: list[tuple[int, int]]
) -> None:
    script, client = clocked
    limit = RateLimit(per_minute, burst)
    full = limit.burst * 10 * limit.interval_us
    client.delete("window")
    at, passed = 10**15, []
    for pause_us, tenths in calls:
        at += pause_us
        allowed, _, wait_us = script(args=["window", tenths * limit.interval_us, full, at])
        if allowed:
            passed.append((at, tenths))
            continue
        assert int(wait_us) > 0
        # One microsecond too early is refused; at the time told it is let through.
        assert not script(args=["window", tenths * limit.interval_us, full, at + int(wait_us) - 1])[0]
        at += int(wait_us)
        assert script(args=["window", tenths * limit.interval_us, full, at])[0]
        passed.append((at, tenths))
    for first, (start, _) in enumerate(passed):
        counted = 0
        for end, tenths in passed[first:]:
            counted += tenths
            assert counted / 10 <= burst + per_minute * (end - start) / 60e6 + 1e-6


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(per_minute=st.integers(1, 60_000), burst=st.integers(1, 50))
def test_who_keeps_to_the_rate_is_never_refused(clocked: tuple, per_minute: int, burst: int) -> None:
    script, client = clocked
    limit = RateLimit(per_minute, burst)
    client.delete("steady")
    for number in range(100):
        at = 10**15 + number * limit.interval_us * 10
        assert script(args=["steady", 10 * limit.interval_us, burst * 10 * limit.interval_us, at])[0]


async def spend(store: Store, owner: str, limit: RateLimit, tenths: int = 10) -> RateVerdict:
    return await RedisRateLimiter(store.connection).spend(owner, tenths, limit)


async def test_two_connections_share_one_allowance_and_two_tenants_do_not(store: Store) -> None:
    other = RedisConnection(store.url)
    limit = RateLimit(per_minute=1, burst=3)
    limiters = [RedisRateLimiter(store.connection), RedisRateLimiter(other)]
    verdicts = await asyncio.gather(*(limiters[n % 2].spend("a", 10, limit) for n in range(10)))
    assert sum(verdict.allowed for verdict in verdicts) == 3
    assert (await limiters[1].spend("b", 10, limit)).remaining == 2
    await other.close()


async def test_an_early_retry_is_told_the_rest_of_the_wait(store: Store) -> None:
    limit = RateLimit(per_minute=600, burst=1)  # one call each 0.1 s
    assert (await spend(store, "a", limit)).allowed
    refused = await spend(store, "a", limit)
    assert not refused.allowed and 0 < refused.retry_after_s <= 0.1
    deadline = time.monotonic() + refused.retry_after_s
    await asyncio.sleep(max(0.0, deadline - time.monotonic()))
    assert (await spend(store, "a", limit)).allowed


async def test_a_refused_call_costs_nothing(store: Store) -> None:
    limit = RateLimit(per_minute=1, burst=1)
    await spend(store, "a", limit)
    waits = [(await spend(store, "a", limit)).retry_after_s for _ in range(5)]
    assert waits == sorted(waits, reverse=True) and 59 < waits[-1] <= 60


async def test_a_smaller_burst_forgives_what_was_spent_under_the_larger(store: Store) -> None:
    for _ in range(50):
        await spend(store, "a", RateLimit(per_minute=60, burst=50))
    assert (await spend(store, "a", RateLimit(per_minute=60, burst=2))).retry_after_s <= 1


async def test_the_counter_dies_when_the_allowance_is_whole(store: Store) -> None:
    verdict = await spend(store, "a", RateLimit(per_minute=60, burst=5), tenths=1)
    left_ms = await store.connection.client.pttl(redis_keys.RATE + "a")
    assert 0 < left_ms <= verdict.whole_after_s * 1000 + 1 <= 101


@pytest.fixture
async def full_redis(tmp_path: Path) -> AsyncIterator[RedisConnection]:
    with start_redis(tmp_path, fsync="no") as server:
        connection = RedisConnection(server.url)
        await connection.client.config_set("maxmemory", 1)
        yield connection
        await connection.close()


async def test_a_full_redis_still_counts(full_redis: RedisConnection) -> None:
    # Reading and deleting jobs must go on, and is counted.
    limiter, limit = RedisRateLimiter(full_redis), RateLimit(per_minute=1, burst=2)
    assert [(await limiter.spend("a", 10, limit)).allowed for _ in range(3)] == [True, True, False]


async def test_a_redis_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    connection = RedisConnection(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StoreUnavailable):
        await RedisRateLimiter(connection).spend("a", 1, RateLimit(1, 1))
    await connection.close()
