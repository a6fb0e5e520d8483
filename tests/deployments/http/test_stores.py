"""The API on a folder and on a bucket: the same answers, also where the store is away."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.object_store import ObjectStore
from storage.store_url import parse_store_url
from tests.deployments.http.conftest import KEY_A, Running
from tests.object_storage import Bucket, ObjectStorage
from tests.service.pictures import png_bytes, scene

PHOTO = png_bytes(scene())
POINTS = {"coordinates_list": [[60, 60]]}


@pytest.fixture
def bucket(object_storage: ObjectStorage) -> Bucket:
    return object_storage.new_bucket()


@pytest.fixture(params=["folder", "bucket"])
async def client(
    request: pytest.FixtureRequest, serve: Callable[..., Any], tmp_path: Path
) -> AsyncIterator[Any]:
    url = "" if request.param == "folder" else request.getfixturevalue("bucket").url
    async with serve(STORE_URL=url) as running, running.client(KEY_A) as client:
        yield running, client


async def ready_job(running: Running, client: httpx.AsyncClient) -> str:
    uploaded = await client.post("/upload", files={"file": PHOTO})
    assert uploaded.status_code == 200, uploaded.text
    job_id: str = uploaded.json()["job_id"]
    assert (await client.post("/segment", params={"job_id": job_id}, json=POINTS)).status_code == 200
    assert await running.backend.run_one()
    return job_id


async def test_a_job_goes_its_way_on_either_store(client: Any) -> None:
    running, http = client
    job_id = await ready_job(running, http)
    url = f"/download/{job_id}/mask_0.png"
    whole = await http.get(url)
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["etag"].startswith('"')
    head = await http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    for wanted, part in (
        ("bytes=0-9", whole.content[:10]),
        ("bytes=20-", whole.content[20:]),
        ("bytes=-5", whole.content[-5:]),
    ):
        some = await http.get(url, headers={"Range": wanted, "If-Range": whole.headers["etag"]})
        assert (some.status_code, some.content) == (206, part)
    several = await http.get(url, headers={"Range": "bytes=0-1,5-6"})
    assert several.status_code == 206 and whole.content[5:7] in several.content
    changed = await http.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    beyond = await http.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416


async def test_an_archive_is_resumable_on_either_store(client: Any) -> None:
    running, http = client
    job_id = await ready_job(running, http)
    first = await http.get(f"/download/{job_id}/archive.zip")
    assert first.status_code == 200
    again = await http.get(f"/download/{job_id}/archive.zip", headers={"Range": "bytes=100-"})
    assert again.headers["etag"] == first.headers["etag"] and again.content == first.content[100:]
    archive = zipfile.ZipFile(io.BytesIO(first.content))
    assert archive.testzip() is None
    for name in ("mask_0.png", "original.png"):
        assert archive.read(name) == (await http.get(f"/download/{job_id}/{name}")).content


async def test_cleanup_is_final_on_either_store(client: Any) -> None:
    running, http = client
    job_id = await ready_job(running, http)
    assert (await http.delete(f"/cleanup/{job_id}")).status_code == 200
    assert (await http.get(f"/download/{job_id}/mask_0.png")).status_code == 404
    assert not list(running.backend.files.jobs())


async def test_an_outage_is_answered_in_words_and_passes(
    serve: Callable[..., Any], bucket: Bucket, object_storage: ObjectStorage, tmp_path: Path
) -> None:
    async with serve(STORE_URL=bucket.url) as running, running.client(KEY_A) as http:
        job_id = await ready_job(running, http)
        running.backend.files = ObjectStore(parse_store_url(bucket.url), tmp_path / "jobs", patience_s=0.3)
        object_storage.stop()
        try:
            for answer in (
                await http.get(f"/download/{job_id}/mask_0.png"),
                await http.post("/upload", files={"file": PHOTO}),
            ):
                assert answer.status_code == 503 and answer.headers["retry-after"]
                assert "artifact store" in answer.json()["detail"]
                assert bucket.name not in answer.text and "127.0.0.1" not in answer.text
            assert (await http.get(f"/status/{job_id}")).json()["status"] == "ready"
            health = await http.get("/health")
            assert health.status_code == 503
            assert any("artifact store" in problem for problem in health.json()["problems"])
        finally:
            object_storage.start()
        assert (await http.get(f"/download/{job_id}/mask_0.png")).status_code == 200
        assert (await http.post("/upload", files={"file": PHOTO})).status_code == 200
