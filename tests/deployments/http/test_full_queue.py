"""A full queue refuses at the door: no picture is taken in whose job could not be queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.deployments.http.conftest import KEY_A, KEY_B
from tests.deployments.http.test_access import upload

TAP = {"coordinates_list": [[1, 1]]}


async def test_upload_is_refused_while_the_queue_is_full(serve: Callable[..., Any]) -> None:
    async with serve(MAX_QUEUED_JOBS=1) as running, running.client(KEY_A) as alice:
        job_id = await upload(alice)
        assert (await alice.post("/segment", params={"job_id": job_id}, json=TAP)).status_code == 200
        refused = await alice.post("/upload", files={"file": ("a.png", b"not even read")})
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert "queue is full" in refused.json()["detail"]
        assert (await alice.delete(f"/cleanup/{job_id}")).status_code == 200
        await upload(alice)


async def test_one_key_fills_its_share_of_the_queue_only(serve: Callable[..., Any]) -> None:
    async with (
        serve(MAX_QUEUED_JOBS=4, MAX_QUEUED_JOBS_PER_KEY=1) as running,
        running.client(KEY_A) as alice,
        running.client(KEY_B) as bobby,
    ):
        for client, expected in ((alice, 200), (alice, 429), (bobby, 200), (bobby, 429)):
            job_id = await upload(client)
            answer = await client.post("/segment", params={"job_id": job_id}, json=TAP)
            assert answer.status_code == expected, answer.text
            assert expected == 200 or int(answer.headers["retry-after"]) > 0
