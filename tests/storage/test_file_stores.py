"""What every file store promises, tried on a folder and on a bucket."""

from __future__ import annotations

import math
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import BadKey, FileMissing, FileStoreError
from storage.files import embedding_key, job_key
from tests.storage.samples import new_id
from tests.storage.shelves import Shelf


@pytest.fixture
def job(shelf: Shelf) -> str:
    job_id = new_id()
    shelf.files.make_job(job_id)
    return job_id


def test_put_then_get_returns_the_bytes(shelf: Shelf, job: str) -> None:
    for key in (job_key(job, "original.png"), job_key(job, "mask_0.png", 3), embedding_key("d", "x")):
        shelf.files.put(key, b"one")
        shelf.files.put(key, memoryview(b"two"))
        assert shelf.files.get(key) == b"two"
        with closing(shelf.files.open(key)) as file:
            assert file.read(0, 10) == b"two"
    assert len(shelf.names()) == 3  # no temporary file stays


@pytest.mark.parametrize("data", [b"picture", b""])
def test_put_file_moves_an_upload_in(shelf: Shelf, job: str, data: bytes) -> None:
    upload = shelf.files.new_upload()
    upload.write_bytes(data)
    shelf.files.put_file(job_key(job, "original.png"), upload)
    assert shelf.files.get(job_key(job, "original.png")) == data
    assert not upload.exists()


def test_missing_files_are_told(shelf: Shelf, job: str) -> None:
    key = job_key(job, "mask_0.png", 1)
    for call in (shelf.files.get, shelf.files.open):
        with pytest.raises(FileMissing):
            call(key)
    assert not shelf.files.touch(key)
    shelf.files.put(key, b"x")
    for call in (shelf.files.get, shelf.files.open):
        with pytest.raises(FileMissing):
            call(f"{job}/a1")  # a folder is not a file
    assert shelf.files.touch(key)


def test_bad_keys_are_refused_by_every_call(shelf: Shelf) -> None:
    bad = "../outside"
    upload = shelf.files.new_upload()
    upload.write_bytes(b"x")
    for call in (shelf.files.get, shelf.files.open, shelf.files.touch):
        with pytest.raises(BadKey):
            call(bad)
    with pytest.raises(BadKey):
        shelf.files.put(bad, b"")
    with pytest.raises(BadKey):
        shelf.files.put_file(bad, upload)
    for job_call in (shelf.files.make_job, shelf.files.delete_job):
        with pytest.raises(BadKey):
            job_call("..")


def test_make_job_twice_is_refused(shelf: Shelf, job: str) -> None:
    with pytest.raises(FileStoreError):
        shelf.files.make_job(job)


def test_stat_tells_size_time_and_an_etag_of_the_content(shelf: Shelf, job: str) -> None:
    key = job_key(job, "original.png")
    shelf.files.put(key, b"one")
    with closing(shelf.files.open(key)) as first, closing(shelf.files.open(key)) as again:
        assert first.stat == again.stat
        assert first.stat.size == 3
        assert '"' not in first.stat.etag
    shelf.files.put(key, b"two")
    with closing(shelf.files.open(key)) as second:
        assert second.stat.etag != first.stat.etag


@pytest.mark.parametrize(
    ("start", "length"), [(0, 5 << 19), (0, 0), (0, 5), (7, 3), (1 << 20, 1 << 21), (5 << 19, 9)]
)
def test_an_open_file_gives_the_asked_range(shelf: Shelf, job: str, start: int, length: int) -> None:
    data = random.Random(0).randbytes(5 << 19)
    shelf.files.put(job_key(job, "original.png"), data)
    with closing(shelf.files.open(job_key(job, "original.png"))) as file:
        assert file.read(start, length) == data[start : start + length]


def test_an_open_file_never_mixes_two_contents(shelf: Shelf, job: str) -> None:
    key = job_key(job, "original.png")
    shelf.files.put(key, b"old" * 100)
    with closing(shelf.files.open(key)) as file:
        shelf.files.put(key, b"new" * 100)
        try:
            assert file.read(0, 300) == b"old" * 100
        except FileStoreError:
            return  # cut off is allowed, mixed is not


def test_write_after_a_cleanup_fails_and_brings_nothing_back(shelf: Shelf, job: str) -> None:
    shelf.files.put(job_key(job, "mask_0.png", 1), b"x")
    shelf.files.delete_job(job)
    shelf.files.delete_job(job)  # nothing to do is no error
    for key in (job_key(job, "original.png"), job_key(job, "mask_1.png", 1)):
        with pytest.raises(FileMissing):
            shelf.files.put(key, b"late")
    assert shelf.names() == set()
    assert not list(shelf.files.jobs())


def write_until_gone(shelf: Shelf, job_id: str, writing: threading.Event) -> None:
    for i in range(3000):
        try:
            shelf.files.put(job_key(job_id, f"mask_{i}.png", i % 3), b"x" * 1000)
        except FileMissing:
            return
        writing.set()
    raise AssertionError("the job's place never went away")


def test_cleanup_racing_with_writers_leaves_nothing(shelf: Shelf) -> None:
    with ThreadPoolExecutor(3) as threads:
        for _ in range(10):
            job_id = new_id()
            shelf.files.make_job(job_id)
            writing = threading.Event()
            writers = [threads.submit(write_until_gone, shelf, job_id, writing) for _ in range(3)]
            assert writing.wait(10)
            shelf.files.delete_job(job_id)
            for writer in writers:
                writer.result(10)
            assert not list(shelf.files.jobs())
    shelf.files.sweep(stale_s=-1, embedding_ttl_s=1, embeddings_max_bytes=0)  # what lies in the trash
    assert shelf.names() == set()


def test_delete_attempts_keeps_the_one_that_won(shelf: Shelf, job: str) -> None:
    shelf.files.put(job_key(job, "original.png"), b"x")
    for attempt in (1, 2, 10):
        for name in ("mask_0.png", "result.json"):
            shelf.files.put(job_key(job, name, attempt), b"x")
    assert shelf.files.delete_attempts(job, 10, keep_last=True) == 2
    kept = {f"{job}/original.png", f"{job}/a10/mask_0.png", f"{job}/a10/result.json"}
    assert shelf.names() == kept


@pytest.mark.parametrize(("keep_last", "kept"), [(True, {2, 10}), (False, {10})])
def test_delete_attempts_leaves_those_of_the_run_after(
    shelf: Shelf, job: str, keep_last: bool, kept: set[int]
) -> None:
    for attempt in (1, 2, 10):
        shelf.files.put(job_key(job, "mask_0.png", attempt), b"x")
    shelf.files.delete_attempts(job, 2, keep_last=keep_last)
    assert shelf.names() == {f"{job}/a{attempt}/mask_0.png" for attempt in kept}


def test_delete_embeddings_takes_those_of_the_picture_only(shelf: Shelf) -> None:
    for digest, variant in (("aa", "x"), ("aa", "y"), ("ab", "x"), ("aab", "x")):
        shelf.files.put(embedding_key(digest, variant), b"x")
    assert shelf.files.delete_embeddings("aa") == 2
    assert shelf.names() == {embedding_key("ab", "x"), embedding_key("aab", "x")}


def test_jobs_tells_how_long_a_job_has_its_place(shelf: Shelf, job: str) -> None:
    shelf.files.put(job_key(job, "original.png"), b"x")
    shelf.files.put(embedding_key("aa", "x"), b"x")
    shelf.age(job, 100)
    (found,) = shelf.files.jobs()
    assert found.job_id == job
    assert not math.isinf(found.age_s)
    assert found.age_s == pytest.approx(100, abs=5)


def test_sweep_removes_old_embeddings_but_those_used_lately(shelf: Shelf) -> None:
    for digest in ("old", "used", "new"):
        shelf.files.put(embedding_key(digest, "x"), digest.encode())
    for digest in ("old", "used"):
        shelf.age(embedding_key(digest, "x"), 1000)
    assert shelf.files.touch(embedding_key("used", "x"))
    assert shelf.files.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=1000).embeddings == 1
    assert shelf.names() == {embedding_key("used", "x"), embedding_key("new", "x")}
    assert shelf.files.get(embedding_key("used", "x")) == b"used"


def test_sweep_keeps_the_last_used_embeddings_within_their_space(shelf: Shelf) -> None:
    for i in range(5):
        shelf.files.put(embedding_key(f"{i}", "x"), bytes(100))
        shelf.age(embedding_key(f"{i}", "x"), 100 - i)
    assert shelf.files.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=250).embeddings == 3
    assert shelf.names() == {embedding_key("3", "x"), embedding_key("4", "x")}


def test_sweep_removes_forgotten_uploads_only(shelf: Shelf) -> None:
    old, new = shelf.files.new_upload(), shelf.files.new_upload()
    for path in (old, new):
        path.write_bytes(b"x")
    age_path(old, 1000)
    assert shelf.files.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=0).uploads == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_an_upload_is_borrowed_and_discarded(shelf: Shelf) -> None:
    upload = shelf.files.new_upload()
    upload.write_bytes(b"picture")
    shelf.files.lend(upload)
    with shelf.files.borrow(upload) as path:
        assert path.read_bytes() == b"picture"
    shelf.files.discard_upload(upload)
    shelf.files.discard_upload(upload)  # what is gone is no error
    assert not upload.exists()
    assert shelf.names() == set()


def test_a_store_that_answers_passes_the_ping(shelf: Shelf) -> None:
    shelf.files.ping()
    assert shelf.files.free_bytes() > 0


def age_path(path: Path, seconds: float) -> None:
    import os

    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
