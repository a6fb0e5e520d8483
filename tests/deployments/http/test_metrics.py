"""`/metrics` of one API in this process: what it says of a store that is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_metrics_say_that_redis_is_away_instead_of_failing(serve: Callable[..., Any]) -> None:
    async with serve(API_KEYS="", REDIS_URL="redis://127.0.0.1:1/0") as running, running.client() as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        found = samples(answer.text)
    assert found["tapcut_redis_up"] == 0 and found["tapcut_artifacts_free_bytes"] > 0
    assert not any(name.startswith("tapcut_queue") for name in found)


async def test_metrics_say_that_redis_takes_no_writes(serve: Callable[..., Any]) -> None:
    async with serve(API_KEYS="") as running, running.client() as client:
        redis = running.backend.connection.client
        await redis.config_set("maxmemory", 1)
        try:
            found = samples((await client.get("/metrics")).text)
        finally:
            await redis.config_set("maxmemory", 0)
        assert found["tapcut_redis_up"] == 0 and found["tapcut_queue_depth"] == 0
        assert samples((await client.get("/metrics")).text)["tapcut_redis_up"] == 1
