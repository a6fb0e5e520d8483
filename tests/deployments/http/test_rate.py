"""The rate of a key as its client meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.deployments.http.conftest import KEY_A, KEY_A2, KEY_B
from tests.deployments.http.test_access import NOBODY, raw_request, upload


async def test_too_many_calls_are_told_when_to_come_back_and_nothing_is_accepted(
    serve: Callable[..., Any],
) -> None:
    async with serve(RATE_PER_MINUTE=60, RATE_BURST=2) as running, running.client(KEY_A) as alice:
        for _ in range(2):
            await upload(alice)
        refused = await alice.post("/upload", files={"file": ("a.png", b"x")})
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit-policy"] == '"key";q=2;w=2'
        assert refused.headers["ratelimit"] == '"key";r=0;t=2'
        assert "nothing was accepted" in refused.json()["detail"]
        await asyncio.sleep(int(refused.headers["retry-after"]))
        await upload(alice)


async def test_body_over_the_rate_is_not_read(serve: Callable[..., Any]) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async with serve(RATE_PER_MINUTE=1, RATE_BURST=1) as running, running.client(KEY_A) as alice:
        await upload(alice)
        headers = [(b"authorization", f"Bearer {KEY_A}".encode())]
        status, _ = await raw_request(running, "POST", "/upload", receive=receive, headers=headers)
        assert status == 429


async def test_keys_of_one_name_share_a_rate_and_tenants_do_not(serve: Callable[..., Any]) -> None:
    async with serve(RATE_PER_MINUTE=1, RATE_BURST=1) as running:
        codes = []
        for key in (KEY_A, KEY_A2, KEY_B):
            async with running.client(key) as client:
                codes.append((await client.post("/upload", files={"file": ("a.png", b"x")})).status_code)
        assert codes == [400, 429, 400]


async def test_replicas_share_the_rate(serve: Callable[..., Any]) -> None:
    rate = {"RATE_PER_MINUTE": 1, "RATE_BURST": 3}
    async with (
        serve(**rate) as first,
        serve(**rate) as second,
        first.client(KEY_A) as one,
        second.client(KEY_A) as two,
    ):
        answers = [await client.post("/segment") for client in (one, two) * 3]
    assert [answer.status_code for answer in answers].count(429) == 3


async def test_asking_for_a_status_costs_a_tenth_of_a_call(serve: Callable[..., Any]) -> None:
    async with serve(RATE_PER_MINUTE=1, RATE_BURST=5) as running, running.client(KEY_A) as alice:
        codes = [(await alice.get(f"/status/{NOBODY}")).status_code for _ in range(50)]
        assert codes == [404] * 50
        assert (await alice.get(f"/status/{NOBODY}")).status_code == 429


async def test_what_is_open_costs_nothing(serve: Callable[..., Any]) -> None:
    async with serve(RATE_PER_MINUTE=1, RATE_BURST=1) as running, running.client(KEY_A) as alice:
        for _ in range(20):
            answer = await alice.get("/health")
            assert answer.status_code == 200 and "ratelimit" not in answer.headers
        assert (await alice.get(f"/status/{NOBODY}")).headers["ratelimit"] == '"key";r=0;t=6'


async def test_without_keys_everybody_shares_one_rate(serve: Callable[..., Any]) -> None:
    async with (
        serve(API_KEYS="", RATE_PER_MINUTE=1, RATE_BURST=1) as running,
        running.client() as one,
        running.client() as other,
    ):
        assert (await one.post("/segment")).status_code == 422
        assert (await other.post("/segment")).status_code == 429
        assert (await other.get("/metrics")).status_code == 200


async def test_a_rate_that_cannot_be_counted_refuses_as_unavailable(
    serve: Callable[..., Any], tmp_path: Any
) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    async with serve(RATE_PER_MINUTE=60, REDIS_URL=url) as running, running.client(KEY_A) as alice:
        answer = await alice.post("/segment")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
        assert answer.headers["x-content-type-options"] == "nosniff"
