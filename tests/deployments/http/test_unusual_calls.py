"""Ranges, conditions, repeats and old folders: calls off the usual way, as a client meets their answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.http.conftest import KEY_A, Running
from tests.deployments.http.test_stores import PHOTO, POINTS


@pytest.fixture
async def job(running: Running) -> Any:
    async with running.client(KEY_A) as http:
        job_id = (await http.post("/upload", files={"file": PHOTO})).json()["job_id"]
        yield running, http, job_id


@pytest.mark.parametrize("wanted", ["items=0-5", "bytes=abc", "bytes=5-3", "abc"])
async def test_a_range_that_is_none_is_as_if_it_were_not_there(job: Any, wanted: str) -> None:
    _, http, job_id = job
    answer = await http.get(f"/download/{job_id}/original.png", headers={"Range": wanted})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"


async def test_a_range_outside_is_a_problem_document_with_the_files_size(job: Any) -> None:
    _, http, job_id = job
    url = f"/download/{job_id}/original.png"
    size = len((await http.get(url)).content)
    answer = await http.get(url, headers={"Range": f"bytes={size}-"})
    assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{size}"
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 416
    mixed = await http.get(url, headers={"Range": f"bytes=0-4,{size}-"})
    assert mixed.status_code == 206 and len(mixed.content) == 5


async def test_a_file_that_the_client_has_is_not_sent_again(job: Any) -> None:
    _, http, job_id = job
    url = f"/download/{job_id}/original.png"
    etag = (await http.get(url)).headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        answer = await http.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await http.get(url, headers={"If-None-Match": '"x"'})).status_code == 200


@pytest.mark.parametrize("tail", ["; boundary=" + "b" * 300, ";a" * 30_000])
async def test_an_endless_content_type_is_refused(job: Any, tail: str) -> None:
    _, http, _ = job
    answer = await http.post("/upload", content=b"x", headers={"Content-Type": "multipart/form-data" + tail})
    assert answer.status_code == 400 and answer.json()["detail"].startswith("Upload failed: ")


async def test_old_folders_removed_by_cron_stop_nothing(job: Any, tmp_path: Path) -> None:
    _, http, job_id = job
    for name in (".uploads", ".trash", ".embeddings"):
        shutil.rmtree(tmp_path / "jobs" / name)
    assert (await http.delete(f"/cleanup/{job_id}")).status_code == 200
    assert not (tmp_path / "jobs" / job_id).exists()
    assert (await http.post("/upload", files={"file": PHOTO})).status_code == 200


async def test_health_and_metrics_say_that_work_dir_is_gone(job: Any, tmp_path: Path) -> None:
    _, http, _ = job
    (tmp_path / "jobs").rename(tmp_path / "away")
    health = await http.get("/health")
    assert health.status_code == 503 and health.json()["status"] == "degraded"
    assert any("artifact store" in problem for problem in health.json()["problems"])
    assert (await http.get("/metrics")).status_code == 200
    upload = await http.post("/upload", files={"file": PHOTO})
    assert upload.status_code == 503 and upload.headers["retry-after"]
    (tmp_path / "away").rename(tmp_path / "jobs")
    assert (await http.get("/health")).status_code == 200


async def test_a_refused_segment_leaves_no_masks(job: Any, tmp_path: Path) -> None:
    _, http, job_id = job
    url, headers = f"/segment?job_id={job_id}", {"Idempotency-Key": "one"}
    assert (await http.post(url, json=POINTS, headers=headers)).status_code == 200
    mask = {"objects": [{"mask": "aGVsbG8="}]}
    assert (await http.post(url, json=mask)).status_code == 409
    assert (await http.post(url, json=mask, headers=headers)).status_code == 422
    assert [path.name for path in (tmp_path / "jobs" / job_id).iterdir()] == ["original.png"]


async def test_a_repeat_gets_its_answer_though_room_has_become_scarce(job: Any) -> None:
    running, http, job_id = job
    call = {"url": f"/segment?job_id={job_id}", "json": POINTS, "headers": {"Idempotency-Key": "one"}}
    first = await http.post(**call)
    running.backend.files.free_bytes = lambda: 0
    again = await http.post(**call)
    assert again.status_code == 200 and again.json() == first.json()
