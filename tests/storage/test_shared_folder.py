"""Artifacts in a folder: whole or absent, and gone when cleaned up."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import BadKey, FileMissing, FileStoreError, StoreFull
from storage.files import EMBEDDINGS, embedding_key, job_key
from storage.shared_folder import SharedFolder
from tests.storage.samples import new_id


@pytest.fixture
def job(folder: SharedFolder) -> str:
    job_id = new_id()
    folder.make_job(job_id)
    return job_id


def age(folder: SharedFolder, name: str, seconds: float) -> None:
    path = folder.root / name
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def names(folder: SharedFolder) -> set[str]:
    return {str(path.relative_to(folder.root)) for path in folder.root.rglob("*") if path.is_file()}


def test_put_then_get_returns_the_bytes(folder: SharedFolder, job: str) -> None:
    for key in (job_key(job, "original.png"), job_key(job, "mask_0.png", 3), embedding_key("d", "x")):
        folder.put(key, b"one")
        folder.put(key, memoryview(b"two"))
        assert folder.get(key) == b"two"
        assert folder.path(key).read_bytes() == b"two"
    assert len(names(folder)) == 3  # no temporary file stays


def test_put_file_moves_an_upload_in(folder: SharedFolder, job: str) -> None:
    upload = folder.new_upload()
    upload.write_bytes(b"picture")
    folder.put_file(job_key(job, "original.png"), upload)
    assert folder.get(job_key(job, "original.png")) == b"picture"
    assert not upload.exists()


def test_put_file_copies_from_another_file_system(
    folder: SharedFolder, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"picture")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == upload:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    folder.put_file(job_key(job, "original.png"), upload)
    assert folder.get(job_key(job, "original.png")) == b"picture"
    assert not upload.exists()


def test_missing_files_are_told(folder: SharedFolder, job: str) -> None:
    key = job_key(job, "mask_0.png", 1)
    for call in (folder.get, folder.path, folder.stat, folder.read_chunks):
        with pytest.raises(FileMissing):
            call(key)
    assert not folder.touch(key)
    assert not folder.delete(key)
    folder.put(key, b"x")
    with pytest.raises(FileMissing):
        folder.get(f"{job}/a1")  # a folder is not a file
    assert folder.touch(key)
    assert folder.delete(key)


def test_bad_keys_are_refused_by_every_call(folder: SharedFolder) -> None:
    bad = "../outside"
    for call in (folder.get, folder.path, folder.stat, folder.read_chunks, folder.touch, folder.delete):
        with pytest.raises(BadKey):
            call(bad)
    with pytest.raises(BadKey):
        folder.put(bad, b"")
    with pytest.raises(BadKey):
        folder.put_file(bad, folder.new_upload())
    for job_call in (folder.make_job, folder.delete_job):
        with pytest.raises(BadKey):
            job_call("..")


def test_make_job_twice_is_refused(folder: SharedFolder, job: str) -> None:
    with pytest.raises(FileStoreError):
        folder.make_job(job)


def test_etag_changes_with_the_content(folder: SharedFolder, job: str) -> None:
    key = job_key(job, "original.png")
    folder.put(key, b"one")
    first = folder.stat(key)
    assert first == folder.stat(key)
    assert first.size == 3
    folder.put(key, b"two")
    assert folder.stat(key).etag != first.etag


@pytest.mark.parametrize(
    ("start", "length"), [(0, None), (0, 0), (0, 5), (7, 3), (1 << 20, 1 << 21), (5 << 19, 9)]
)
def test_read_chunks_gives_the_asked_range(
    folder: SharedFolder, job: str, start: int, length: int | None
) -> None:
    data = random.Random(0).randbytes(5 << 19)
    folder.put(job_key(job, "original.png"), data)
    end = None if length is None else start + length
    assert b"".join(folder.read_chunks(job_key(job, "original.png"), start, length)) == data[start:end]


def test_reader_is_not_cut_off_by_a_cleanup(folder: SharedFolder, job: str) -> None:
    data = bytes(3 << 20)
    folder.put(job_key(job, "original.png"), data)
    chunks = folder.read_chunks(job_key(job, "original.png"))
    folder.delete_job(job)
    assert b"".join(chunks) == data


def test_full_disk_is_told_and_leaves_nothing(
    folder: SharedFolder, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        folder.put(job_key(job, "original.png"), b"x")
    assert names(folder) == set()


def test_write_after_a_cleanup_fails_and_brings_nothing_back(folder: SharedFolder, job: str) -> None:
    folder.put(job_key(job, "mask_0.png", 1), b"x")
    assert folder.delete_job(job)
    assert not folder.delete_job(job)
    for key in (job_key(job, "original.png"), job_key(job, "mask_1.png", 1)):
        with pytest.raises(FileMissing):
            folder.put(key, b"late")
    assert not (folder.root / job).exists()
    assert names(folder) == set()


def write_until_gone(folder: SharedFolder, job_id: str, writing: threading.Event) -> None:
    for i in range(100_000):
        try:
            folder.put(job_key(job_id, f"mask_{i}.png", i % 3), b"x" * 1000)
        except FileMissing:
            return
        writing.set()
    raise AssertionError("the job's folder never went away")


def test_cleanup_racing_with_writers_leaves_nothing(folder: SharedFolder) -> None:
    with ThreadPoolExecutor(3) as threads:
        for _ in range(20):
            job_id = new_id()
            folder.make_job(job_id)
            writing = threading.Event()
            writers = [threads.submit(write_until_gone, folder, job_id, writing) for _ in range(3)]
            assert writing.wait(10)
            assert folder.delete_job(job_id)
            assert not (folder.root / job_id).exists()
            for writer in writers:
                writer.result(10)
            assert not (folder.root / job_id).exists()
    folder.sweep(stale_s=-1, embedding_ttl_s=1, embeddings_max_bytes=0)
    assert names(folder) == set()


def test_a_killed_writer_leaves_the_old_or_the_new_content(folder: SharedFolder, job: str) -> None:
    key = job_key(job, "original.png")
    script = (
        "import itertools, sys\nfrom storage.shared_folder import SharedFolder\n"
        "folder = SharedFolder(sys.argv[1])\nprint('ready', flush=True)\n"
        "for i in itertools.count():\n    folder.put(sys.argv[2], bytes([i % 256]) * (4 << 20))\n"
    )
    for i in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(folder.root), key], stdout=subprocess.PIPE, text=True
        )
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(0.05 + 0.03 * i)
            writer.send_signal(signal.SIGKILL)
        data = folder.get(key)
        assert len(data) == 4 << 20
        assert len(set(data)) == 1


def test_delete_attempts_keeps_the_one_that_won(folder: SharedFolder, job: str) -> None:
    folder.put(job_key(job, "original.png"), b"x")
    for attempt in (1, 2, 10):
        folder.put(job_key(job, "mask_0.png", attempt), b"x")
    (folder.root / job / "a10" / ".tmp-of-a-killed-writer").write_bytes(b"half")
    assert folder.delete_attempts(job, keep=10) == 2
    assert names(folder) == {f"{job}/original.png", f"{job}/a10/mask_0.png"}


def test_delete_embeddings_takes_those_of_the_picture_only(folder: SharedFolder) -> None:
    for digest, variant in (("aa", "x"), ("aa", "y"), ("ab", "x"), ("aab", "x")):
        folder.put(embedding_key(digest, variant), b"x")
    assert folder.delete_embeddings("aa") == 2
    assert names(folder) == {f"{EMBEDDINGS}/ab-x", f"{EMBEDDINGS}/aab-x"}


def test_jobs_lists_job_folders_and_nothing_else(folder: SharedFolder, job: str) -> None:
    (folder.root / "holiday").mkdir()
    (folder.root / new_id()).write_text("a file")
    age(folder, job, 100)
    (found,) = folder.jobs()
    assert found.job_id == job
    assert found.age_s == pytest.approx(100, abs=5)


def test_sweep_removes_what_is_old_and_nothing_else(folder: SharedFolder, job: str) -> None:
    old, new = folder.new_upload(), folder.new_upload()
    for path in (old, new):
        path.write_bytes(b"x")
    (folder.root / ".trash" / "left").mkdir()
    for digest in ("old", "used", "new"):
        folder.put(embedding_key(digest, "x"), b"x")
    killed = folder.root / EMBEDDINGS / ".tmp-killed"
    killed.write_bytes(b"x")
    for name in (
        f".uploads/{old.name}",
        ".trash/left",
        f"{EMBEDDINGS}/old-x",
        f"{EMBEDDINGS}/used-x",
        f"{EMBEDDINGS}/{killed.name}",
    ):
        age(folder, name, 1000)
    folder.touch(embedding_key("used", "x"))
    swept = folder.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=1000)
    assert (swept.uploads, swept.trash, swept.embeddings) == (1, 1, 1)
    assert names(folder) == {f".uploads/{new.name}", f"{EMBEDDINGS}/used-x", f"{EMBEDDINGS}/new-x"}


def test_sweep_keeps_the_last_used_embeddings_within_their_space(folder: SharedFolder) -> None:
    for i in range(5):
        folder.put(embedding_key(f"{i}", "x"), bytes(100))
        age(folder, f"{EMBEDDINGS}/{i}-x", 100 - i)
    assert folder.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=250).embeddings == 3
    assert names(folder) == {f"{EMBEDDINGS}/3-x", f"{EMBEDDINGS}/4-x"}
