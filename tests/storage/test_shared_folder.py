"""What only a folder can do or suffer. What every store promises is in `test_file_stores.py`."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import FileStoreUnavailable, StoreFull
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


def test_reader_is_not_cut_off_by_a_cleanup(folder: SharedFolder, job: str) -> None:
    data = bytes(3 << 20)
    folder.put(job_key(job, "original.png"), data)
    with closing(folder.open(job_key(job, "original.png"))) as file:
        folder.delete_job(job)
        assert file.read(0, len(data)) == data


def test_full_disk_is_told_and_leaves_nothing(
    folder: SharedFolder, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        folder.put(job_key(job, "original.png"), b"x")
    assert names(folder) == set()


def test_a_killed_writer_leaves_the_old_or_the_new_content(folder: SharedFolder, job: str) -> None:
    key = job_key(job, "original.png")
    script = (
        "import itertools, sys\nfrom storage.shared_folder import SharedFolder\n"
        "folder = SharedFolder(sys.argv[1])\nprint('ready', flush=True)\n"
        "for i in itertools.count():\n    folder.put(sys.argv[2], bytes([i % 256]) * (4 << 20))\n"
    )
    folder.put(key, bytes([255]) * (4 << 20))  # a slow disk may not take a second one in time
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


def test_delete_attempts_removes_what_a_killed_writer_left(folder: SharedFolder, job: str) -> None:
    folder.put(job_key(job, "mask_0.png", 10), b"x")
    (folder.root / job / "a10" / ".tmp-of-a-killed-writer").write_bytes(b"half")
    assert folder.delete_attempts(job, 10, keep_last=True) == 0
    assert names(folder) == {f"{job}/a10/mask_0.png"}


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EHOSTDOWN])
def test_a_server_of_the_folder_that_is_away_may_come_back(
    folder: SharedFolder, job: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def away(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", away)
    with pytest.raises(FileStoreUnavailable):
        folder.put(job_key(job, "original.png"), b"x")


def test_jobs_lists_job_folders_and_nothing_else(folder: SharedFolder, job: str) -> None:
    (folder.root / "holiday").mkdir()
    (folder.root / new_id()).write_text("a file")
    age(folder, job, 100)
    (found,) = folder.jobs()
    assert found.job_id == job
    assert found.age_s == pytest.approx(100, abs=5)


def test_sweep_removes_what_is_old_and_nothing_else(folder: SharedFolder, job: str) -> None:
    (folder.root / ".trash" / "left").mkdir()
    for digest in ("old", "used", "new"):
        folder.put(embedding_key(digest, "x"), b"x")
    killed = folder.root / EMBEDDINGS / ".tmp-killed"
    killed.write_bytes(b"x")
    for name in (
        ".trash/left",
        f"{EMBEDDINGS}/old-x",
        f"{EMBEDDINGS}/used-x",
        f"{EMBEDDINGS}/{killed.name}",
    ):
        age(folder, name, 1000)
    folder.touch(embedding_key("used", "x"))
    swept = folder.sweep(stale_s=500, embedding_ttl_s=500, embeddings_max_bytes=1000)
    assert (swept.uploads, swept.trash, swept.embeddings) == (0, 1, 1)
    assert names(folder) == {f"{EMBEDDINGS}/used-x", f"{EMBEDDINGS}/new-x"}
