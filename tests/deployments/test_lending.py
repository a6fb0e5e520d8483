"""An upload that one node received is decoded on another one, which shares only the bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.lending import call_with_upload
from deployments.messages import TakenIn
from deployments.photo_intake import PhotoIntake
from engine.errors import PhotoError
from settings import Settings, read_settings
from storage.files import job_key
from storage.open_store import open_store
from tests.object_storage import ObjectStorage
from tests.service.pictures import png_bytes, scene
from tests.storage.samples import new_id


def node(name: str, store_url: str, tmp_path: Path) -> Settings:
    return read_settings({"WORK_DIR": str(tmp_path / name), "STORE_URL": store_url})


async def test_another_nodes_intake_gets_the_upload(object_storage: ObjectStorage, tmp_path: Path) -> None:
    bucket = object_storage.new_bucket()
    here, there = node("here", bucket.url, tmp_path), node("there", bucket.url, tmp_path)
    files = open_store(here.store_url, here.work_dir)
    intake = PhotoIntake.func_or_class(there)
    calls = 0

    async def take_in(job_id: str, upload: Path) -> TakenIn:
        async def ask() -> TakenIn:
            nonlocal calls
            calls += 1
            return await intake.take_in(job_id, upload)

        return await call_with_upload(files, upload, ask)

    try:
        upload, job_id = files.new_upload(), new_id()
        upload.write_bytes(png_bytes(scene()))
        taken = await take_in(job_id, upload)
        files.discard_upload(upload)
        assert (calls, taken.picture.width) == (2, 480)
        assert files.get(job_key(job_id, "original.png")).startswith(b"\x89PNG")
        assert bucket.names() == {f".jobs/{job_id}", f"{job_id}/original.png"}

        refused = files.new_upload()
        refused.write_bytes(b"no picture")
        with pytest.raises(PhotoError):
            await take_in(new_id(), refused)
        files.discard_upload(refused)
        assert len(bucket.names()) == 2
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
    finally:
        intake._decoder.close()


async def test_an_upload_of_this_node_is_not_copied(object_storage: ObjectStorage, tmp_path: Path) -> None:
    bucket = object_storage.new_bucket()
    here = node("here", bucket.url, tmp_path)
    files, intake = open_store(here.store_url, here.work_dir), PhotoIntake.func_or_class(here)
    upload, job_id, calls = files.new_upload(), new_id(), []

    async def ask() -> TakenIn:
        calls.append(job_id)
        return await intake.take_in(job_id, upload)

    try:
        upload.write_bytes(png_bytes(scene()))
        await call_with_upload(files, upload, ask)
        assert calls == [job_id]
    finally:
        intake._decoder.close()
