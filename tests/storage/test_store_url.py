"""What STORE_URL may say, and that it repeats no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, read_settings
from storage.object_store import ObjectStore
from storage.open_store import open_store
from storage.shared_folder import SharedFolder
from storage.store_url import BucketAddress, FolderAddress, parse_store_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("file:///mnt/jobs%20of%20ours", FolderAddress(Path("/mnt/jobs of ours"))),
        ("s3://photos", BucketAddress("photos")),
        ("s3://photos/a/b/", BucketAddress("photos", "a/b")),
        (
            "s3://photos/a?endpoint=http://minio:9000/&region=eu-central-1",
            BucketAddress("photos", "a", "http://minio:9000", "eu-central-1"),
        ),
    ],
)
def test_both_forms_are_read(url: str, address: FolderAddress | BucketAddress) -> None:
    assert parse_store_url(url) == address


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/mnt/jobs", "neither"),
        ("gs://photos", "neither"),
        ("file://mnt/jobs", "three slashes"),
        ("file:///", "three slashes"),
        ("s3://", "bucket"),
        ("s3://Photos", "bucket"),
        ("s3://photos/../other", "prefix"),
        ("s3://photos/a b", "prefix"),
        ("s3://photos?endpoint=minio:9000", "endpoint"),
        ("s3://photos?endpoint=http://name:hushhush@minio", "endpoint"),
        ("s3://photos?region=eu central", "region"),
        ("s3://photos?region=a&region=b", "twice"),
        ("s3://photos?secret_access_key=hushhush", "unknown option"),
        ("s3://key:hushhush@photos", "credentials"),
        ("s3://photos#a", "#"),
    ],
)
def test_other_forms_fail_the_start_and_repeat_no_secret(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match="setting STORE_URL") as refused:
        read_settings({"STORE_URL": url})
    assert told in str(refused.value)
    assert "hushhush" not in str(refused.value)


def test_the_url_alone_decides_which_store_serves(tmp_path: Path) -> None:
    in_work_dir = open_store("", tmp_path / "work")
    elsewhere = open_store(f"file://{tmp_path}/mounted", tmp_path / "work")
    assert isinstance(in_work_dir, SharedFolder) and in_work_dir.root == tmp_path / "work"
    assert isinstance(elsewhere, SharedFolder) and elsewhere.root == tmp_path / "mounted"
    bucket = open_store("s3://photos", tmp_path / "scratch")
    assert isinstance(bucket, ObjectStore)
    assert bucket.new_upload().parent == tmp_path / "scratch" / ".uploads"
