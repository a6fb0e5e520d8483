"""The audit and the verdict find what is wrong: on a store and a folder that were tampered with."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from PIL import Image

from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.redis_server import RedisServer, start_redis
from storage.shared_folder import SharedFolder
from tests.storage.samples import Store
from trials.chaos_audit import Findings, look_at_folder, look_at_store, wrong_with
from trials.chaos_load import HEIGHT, WIDTH, Accepted, Ledger
from trials.chaos_strike import Row
from trials.chaos_verdict import broken_promises


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with start_redis(tmp_path_factory.mktemp("redis"), fsync="everysec") as started:
        yield started


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    connection = RedisConnection(server.url)
    await connection.client.flushall()
    await connection.make_group()
    yield Store(server.url, connection, RedisJobs(connection), RedisQueue(connection))
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    return SharedFolder(tmp_path / "work")


async def ended_job(store: Store, folder: SharedFolder) -> str:
    started = await store.started()
    job_id = started.job.id
    folder.make_job(job_id)
    folder.put(f"{job_id}/original.png", b"x")
    folder.put(f"{job_id}/a{started.attempt}/mask_0.png", b"x")
    files = {"mask_0.png": f"{job_id}/a{started.attempt}/mask_0.png"}
    await store.queue.commit(started.delivery, started.attempt, "{}", files)
    return job_id


def found(store: Store, folder: SharedFolder, *known: str) -> Findings:
    findings, ledger = Findings(), Ledger({job_id: Accepted(job_id, 0.0) for job_id in known})
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        look_at_store(client, ledger, folder.root, findings)
        look_at_folder(client, folder.root, findings)
    return findings


async def test_a_job_that_ended_well_is_fine(store: Store, folder: SharedFolder) -> None:
    assert found(store, folder, await ended_job(store, folder)).all == []


async def test_a_job_without_its_file_is_found(store: Store, folder: SharedFolder) -> None:
    job_id = await ended_job(store, folder)
    (folder.root / job_id / "a1" / "mask_0.png").unlink()
    assert found(store, folder, job_id).damaged == [
        f"{job_id}: {job_id}/a1/mask_0.png is recorded and not there"
    ]


async def test_files_without_a_job_of_other_attempts_and_temporary_ones_are_found(
    store: Store, folder: SharedFolder
) -> None:
    job_id = await ended_job(store, folder)
    folder.put(f"{job_id}/a7/mask_0.png", b"x")
    (folder.root / job_id / "a1" / ".tmp-half").write_bytes(b"x")
    folder.new_upload().write_bytes(b"x")
    folder.make_job("f" * 32)
    left = "\n".join(found(store, folder, job_id).left_over)
    for what in ("'a7'", ".tmp-half", ".uploads/", f"{'f' * 32} without a job"):
        assert what in left


async def test_a_job_that_never_ended_is_found(store: Store, folder: SharedFolder) -> None:
    job_id = (await store.started()).job.id
    findings = found(store, folder, job_id)
    assert f"{job_id} is still processing in the store" in findings.lost
    assert {"1 entries in the queue", "1 pending deliveries"} <= set(findings.left_over)


async def test_a_job_that_no_client_asked_for_is_found(store: Store, folder: SharedFolder) -> None:
    job_id = await ended_job(store, folder)
    assert f"{job_id}: a job that no client asked for is ready" in found(store, folder).left_over


def test_half_and_wrongly_sized_pictures_are_found() -> None:
    def png(size: tuple[int, int]) -> bytes:
        buffer = io.BytesIO()
        Image.effect_noise(size, 50).save(buffer, "PNG")
        return buffer.getvalue()

    whole = png((WIDTH, HEIGHT))
    assert wrong_with("mask_0.png", whole) == ""
    assert "does not decode" in wrong_with("mask_0.png", whole[:-2000])
    assert "in size" in wrong_with("full_inpainted.png", png((WIDTH, HEIGHT - 1)))


def test_verdict_names_each_broken_promise() -> None:
    row = Row(injected=1, failed=["GET /x: 500"], lost=1, stuck=2, duplicates=3, recoveries_s=[15.1])
    broken = list(broken_promises({"Redis": row, "proxy": Row()}, Ledger(), Findings(errors=1), least_jobs=5))
    assert broken == [
        "Redis: GET /x: 500",
        "Redis: recovery took 15.1 s, more than 15 s",
        "Redis: 1 jobs lost",
        "Redis: 2 jobs stuck",
        "Redis: 3 jobs committed twice",
        "proxy: not injected, no time was left",
        "1 jobs ended as error, 0 expected: []",
        "only 0 of 5 jobs were accepted",
    ]
