from __future__ import annotations

import httpx
import pytest

from tests.service.pictures import DISC, artifact, finished


@pytest.fixture(scope="module")
def job_id(service_url: str) -> str:
    with httpx.Client(base_url=service_url, timeout=60) as api:
        return finished(api, coordinates_list=[list(DISC)])["job_id"]


def test_broken_off_download_resumes_by_range(api: httpx.Client, job_id: str) -> None:
    path = f"/download/{job_id}/full_inpainted.png"
    whole = api.get(path)
    half = len(whole.content) // 2
    rest = api.get(path, headers={"Range": f"bytes={half}-", "If-Range": whole.headers["etag"]})
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    assert whole.content[:half] + rest.content == whole.content


def test_range_beyond_the_file_is_not_satisfiable(api: httpx.Client, job_id: str) -> None:
    answer = api.get(f"/download/{job_id}/original.png", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416


def test_download_says_type_size_and_forbids_sniffing(api: httpx.Client, job_id: str) -> None:
    answer = api.head(f"/download/{job_id}/cropped_0.png")
    assert answer.status_code == 200 and answer.content == b""
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(artifact(api, job_id, "cropped_0.png"))


def test_archive_is_resumable_too(api: httpx.Client, job_id: str) -> None:
    path = f"/download/{job_id}/archive.zip"
    whole = api.get(path).content
    assert api.get(path, headers={"Range": "bytes=10-"}).content == whole[10:]


def test_download_continues_although_the_job_is_cleaned_up(api: httpx.Client) -> None:
    status = finished(api)
    with api.stream("GET", f"/download/{status['job_id']}/original.png") as answer:
        assert answer.status_code == 200
        api.delete(f"/cleanup/{status['job_id']}")
        assert answer.read()[:8] == b"\x89PNG\r\n\x1a\n"
