"""A bucket that cannot be worked with is told in one sentence, with what mends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import doctor
from launch.errors import LaunchError
from launch.machine import prepare_store
from settings import Settings
from storage.store_check import check_bucket
from storage.store_url import BucketAddress
from tests.object_storage import ObjectStorage


@contextmanager
def refusing(status: int, body: bytes, methods: tuple[str, ...] = ("PUT", "GET", "POST")) -> Iterator[str]:
    """An endpoint that refuses these methods and takes everything else."""

    class Refusal(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            refused = self.command in methods
            self.send_response(status if refused else 200)
            self.send_header("Content-Length", str(len(body) if refused else 0))
            self.send_header("ETag", '"x"')
            self.send_header("Last-Modified", formatdate(usegmt=True))
            self.end_headers()
            self.wfile.write(body if refused else b"")

        do_PUT = do_GET = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(code: str) -> bytes:
    text = f"<Code>{code}</Code><Message>no</Message><AWSAccessKeyId>tests</AWSAccessKeyId>"
    return f'<?xml version="1.0" encoding="UTF-8"?><Error>{text}</Error>'.encode()


@pytest.mark.usefixtures("object_storage")
@pytest.mark.parametrize(
    ("status", "code", "told", "mend"),
    [
        (403, "AccessDenied", "may not write to it", "s3:PutObject"),
        (403, "InvalidAccessKeyId", "access key is not known", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "secret access key is wrong", "AWS_SECRET_ACCESS_KEY"),
        (403, "RequestTimeTooSkewed", "clock is wrong", "NTP"),
        (301, "PermanentRedirect", "another region", "?region="),
        (400, "AuthorizationHeaderMalformed", "another region", "?region="),
        (404, "NoSuchBucket", "does not exist", "STORE_URL"),
    ],
)
def test_each_refusal_has_its_sentence(status: int, code: str, told: str, mend: str) -> None:
    with refusing(status, refusal(code)) as endpoint:
        trouble = check_bucket(BucketAddress("photos", "a", endpoint))
    assert trouble is not None and not trouble.works
    assert told in trouble.what and mend in trouble.mend
    assert "tests" not in trouble.what + trouble.mend  # the key id


@pytest.mark.usefixtures("object_storage")
def test_rights_that_lack_for_reading_only_are_told_so() -> None:
    with refusing(403, refusal("AccessDenied"), ("GET",)) as endpoint:
        trouble = check_bucket(BucketAddress("photos", "", endpoint))
    assert trouble is not None and "may not read from it" in trouble.what


@pytest.mark.usefixtures("object_storage")
def test_what_is_no_object_storage_is_told() -> None:
    with refusing(405, b"<html>Not here</html>") as endpoint:
        trouble = check_bucket(BucketAddress("photos", "", endpoint))
    assert trouble is not None and "answers 405" in trouble.what and "endpoint" in trouble.mend


@pytest.mark.usefixtures("object_storage")
def test_an_endpoint_where_nothing_listens_is_told() -> None:
    trouble = check_bucket(BucketAddress("photos", "", "http://127.0.0.1:1"))
    assert trouble is not None and "nothing answers at http://127.0.0.1:1" in trouble.what


def test_doctor_and_launcher_try_the_bucket(
    object_storage: ObjectStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = object_storage.new_bucket()
    good = Settings(_env_file=None, work_dir=tmp_path, store_url=bucket.url)  # type: ignore[call-arg]
    found = doctor.store(good)
    assert found.grade is doctor.Grade.OK and bucket.name in found.what
    prepare_store(good.store_url)
    assert f"artifacts are kept in s3://{bucket.name}" in capsys.readouterr().out
    assert bucket.names() == set()  # nothing of the trial is left
    missing = bucket.url.replace(bucket.name, "no-such-bucket")
    bad = Settings(_env_file=None, work_dir=tmp_path, store_url=missing)  # type: ignore[call-arg]
    found = doctor.store(bad)
    assert found.grade is doctor.Grade.BAD and "does not exist" in found.what and found.mend
    with pytest.raises(LaunchError, match="bucket does not exist"):
        prepare_store(missing)


def test_a_mounted_folder_is_tried_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    url = f"file://{tmp_path}/file/jobs"
    found = doctor.store(Settings(_env_file=None, work_dir=tmp_path, store_url=url))  # type: ignore[call-arg]
    assert found.grade is doctor.Grade.BAD and "STORE_URL" in found.mend
    with pytest.raises(LaunchError, match="set another STORE_URL"):
        prepare_store(url)
