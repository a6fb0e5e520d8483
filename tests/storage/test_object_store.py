"""What only a bucket can do or suffer: outages, nodes that share nothing else, what a crash leaves."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import FileMissing, FileStoreError, FileStoreUnavailable, UploadElsewhere
from storage.files import embedding_key, job_key
from storage.object_store import ObjectStore
from storage.sweeper import SweepPolicy, remove_job, sweep
from tests.object_storage import Bucket, ObjectStorage
from tests.storage.losing_proxy import LosingProxy
from tests.storage.samples import Store, new_id
from tests.storage.shelves import object_store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bucket(object_storage: ObjectStorage) -> Bucket:
    return object_storage.new_bucket()


@pytest.fixture
def files(bucket: Bucket, tmp_path: Path) -> ObjectStore:
    return object_store(bucket, tmp_path / "node")


@pytest.fixture
def hasty(bucket: Bucket, tmp_path: Path) -> ObjectStore:
    """On the same bucket, with little patience."""
    return object_store(bucket, tmp_path / "node", patience_s=0.3)


@pytest.fixture
def job(files: ObjectStore) -> str:
    job_id = new_id()
    files.make_job(job_id)
    return job_id


def test_a_short_outage_is_waited_out(files: ObjectStore, job: str, object_storage: ObjectStorage) -> None:
    key = job_key(job, "original.png")
    files.put(key, b"before" * 1000)
    with closing(files.open(key)) as file:
        assert file.read(0, 6) == b"before"
        object_storage.stop()
        back = threading.Timer(0.3, object_storage.start)
        back.start()
        assert file.read(6, 6) == b"before"
        back.join()
    files.put(key, b"after")
    assert files.get(key) == b"after"


async def test_a_job_whose_marker_was_put_and_the_answer_lost_is_made(
    bucket: Bucket, object_storage: ObjectStorage, tmp_path: Path
) -> None:
    proxy = LosingProxy(object_storage.port)
    try:
        beyond = Bucket(bucket.name, f"http://127.0.0.1:{await proxy.start()}")
        files, job_id = object_store(beyond, tmp_path / "node"), new_id()
        proxy.lose_next = True
        await asyncio.to_thread(files.make_job, job_id)
        assert proxy.lost == 1
        assert bucket.names() == {f".jobs/{job_id}"}
        with pytest.raises(FileStoreError, match="already"):
            await asyncio.to_thread(files.make_job, job_id)
    finally:
        await proxy.close()


def test_a_long_outage_is_told_soon_by_every_call_and_ends(
    files: ObjectStore, hasty: ObjectStore, job: str, object_storage: ObjectStorage
) -> None:
    key = job_key(job, "original.png")
    files.put(key, b"before")
    object_storage.stop()
    try:
        calls = (
            lambda: hasty.put(key, b"during"),
            lambda: hasty.get(key),
            lambda: hasty.open(key),
            lambda: hasty.delete_job(job),
            lambda: list(hasty.jobs()),
            hasty.ping,
        )
        for call in calls:
            began = time.monotonic()
            with pytest.raises(FileStoreUnavailable) as told:
                call()
            assert time.monotonic() - began < 5
            assert "secret" not in str(told.value) and told.value.__cause__ is None
    finally:
        object_storage.start()
    assert files.get(key) == b"before"
    files.put(key, b"after")
    assert files.get(key) == b"after"


def test_an_endpoint_that_hangs_is_given_up(tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hanging = Bucket("bucket", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(FileStoreUnavailable):
            object_store(hanging, tmp_path, patience_s=1).put(embedding_key("a", "x"), b"x")
        assert time.monotonic() - began < 5


def test_a_bucket_that_is_gone_is_no_missing_file(files: ObjectStore, tmp_path: Path, bucket: Bucket) -> None:
    away = object_store(Bucket("no-such-bucket", bucket.endpoint), tmp_path)
    for call in (lambda: away.get(embedding_key("a", "x")), lambda: away.put(embedding_key("a", "x"), b"x")):
        with pytest.raises(FileStoreUnavailable, match="bucket does not exist"):
            call()
    with pytest.raises(FileStoreUnavailable):
        away.ping()


def test_two_nodes_share_jobs_but_no_folder(bucket: Bucket, tmp_path: Path) -> None:
    one, other = object_store(bucket, tmp_path / "one"), object_store(bucket, tmp_path / "other")
    job_id = new_id()
    one.make_job(job_id)
    upload = one.new_upload()
    upload.write_bytes(b"picture")
    one.put_file(job_key(job_id, "original.png"), upload)
    assert other.get(job_key(job_id, "original.png")) == b"picture"
    other.put(job_key(job_id, "mask_0.png", 1), b"mask")
    with closing(one.open(job_key(job_id, "mask_0.png", 1))) as file:
        assert file.read(0, 10) == b"mask"
    other.delete_job(job_id)
    with pytest.raises(FileMissing):
        one.put(job_key(job_id, "mask_1.png", 1), b"late")
    assert bucket.names() == set()


def test_an_upload_reaches_another_node_once_it_is_lent(bucket: Bucket, tmp_path: Path) -> None:
    one, other = object_store(bucket, tmp_path / "one"), object_store(bucket, tmp_path / "other")
    upload = one.new_upload()
    upload.write_bytes(b"picture" * 500_000)
    with pytest.raises(UploadElsewhere), other.borrow(upload):
        pass
    one.lend(upload)
    with other.borrow(upload) as path:
        assert path != upload
        assert path.read_bytes() == upload.read_bytes()
    assert not path.exists()
    one.discard_upload(upload)
    assert not upload.exists()
    assert bucket.names() == set()


async def test_the_sweep_finds_what_crashes_left(
    store: Store, files: ObjectStore, bucket: Bucket, tmp_path: Path
) -> None:
    kept, dead_upload, interrupted = new_id(), new_id(), new_id()
    for job_id in (kept, dead_upload, interrupted):
        files.make_job(job_id)
        files.put(job_key(job_id, "original.png"), b"x")
    await store.uploaded(kept)
    bucket.forget(f".jobs/{interrupted}")  # a cleanup that died between its requests, or a late writer
    bucket.age(f".jobs/{dead_upload}", 1000)  # an ingress that died before it recorded the job
    lent = files.new_upload()
    lent.write_bytes(b"x")
    files.lend(lent)
    bucket.age(f".uploads/{lent.name}", 1000)
    ages = {folder.job_id: folder.age_s for folder in files.jobs()}
    assert math.isinf(ages[interrupted])
    report = await sweep(store.jobs, files, SweepPolicy(orphan_s=500, stale_s=500))
    assert (report.orphan_folders, report.files.uploads) == (2, 1)
    assert bucket.names() == {f".jobs/{kept}", f"{kept}/original.png"}
    assert files.get(job_key(kept, "original.png")) == b"x"


async def test_a_job_deleted_in_an_outage_is_gone_at_once_and_its_files_by_the_sweep(
    store: Store, files: ObjectStore, hasty: ObjectStore, bucket: Bucket, object_storage: ObjectStorage
) -> None:
    job_id = new_id()
    files.make_job(job_id)
    files.put(job_key(job_id, "original.png"), b"x")
    await store.uploaded(job_id)
    object_storage.stop()
    try:
        assert await remove_job(store.jobs, hasty, job_id)
    finally:
        object_storage.start()
    assert await store.jobs.existing([job_id]) == set()
    bucket.age(f".jobs/{job_id}", 1000)
    await sweep(store.jobs, files, SweepPolicy(orphan_s=500))
    assert bucket.names() == set()


def test_more_objects_than_one_page_are_listed_and_deleted(files: ObjectStore, bucket: Bucket) -> None:
    job_id = new_id()
    files.make_job(job_id)
    for i in range(1100):
        bucket.add(f"{job_id}/a1/mask_{i}.png", b"x")
    bucket.add(f"{job_id}/a2/mask_0.png", b"x")
    assert files.delete_attempts(job_id, 2, keep_last=True) == 1
    assert bucket.names() == {f".jobs/{job_id}", f"{job_id}/a2/mask_0.png"}
    for i in range(1100):
        bucket.add(f".jobs/{i:032x}", b"")
    assert len(list(files.jobs())) == 1101


def test_50_mb_are_sent_and_read_without_holding_them(bucket: Bucket, tmp_path: Path) -> None:
    # A process of its own, for its memory is what is looked at.
    ended = subprocess.run(
        [sys.executable, "-m", "tests.storage.large_file", bucket.url, str(tmp_path)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    sent_mb, read_mb, ranges = (float(word) for word in ended.stdout.split())
    assert ranges == 3
    assert sent_mb < 20 and read_mb < 20
