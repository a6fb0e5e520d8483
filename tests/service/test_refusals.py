"""Each row of the contract's table of errors, as a client meets it."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.pictures import DISC, finished, png_bytes, scene, segment, upload, wait

NOBODY = "0" * 32


def assert_problem(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["title"] and body["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in body["detail"], body["detail"]
    assert "Traceback" not in answer.text and "site-packages" not in answer.text
    return body


def post_file(api: httpx.Client, data: bytes, name: str = "photo.jpg") -> httpx.Response:
    return api.post("/upload", files={"file": (name, data)})


def test_upload_of_text_is_refused_with_the_briefs_words(api: httpx.Client) -> None:
    body = assert_problem(post_file(api, b"not a picture at all"), 400)
    assert body["detail"] == "Upload failed: Invalid image data: unidentified image file"


def test_upload_of_a_truncated_picture_is_refused(api: httpx.Client) -> None:
    data = png_bytes(scene())
    assert_problem(post_file(api, data[: len(data) // 2]), 400, "Upload failed: Invalid image data")


def test_upload_of_an_unsupported_format_is_named(api: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "GIF")
    assert_problem(post_file(api, buffer.getvalue()), 400, "Upload failed", "GIF")


def test_upload_of_too_many_bytes_is_refused_by_the_limit(api: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8)
    assert_problem(post_file(api, png_bytes(noise)), 400, "Upload failed", "2 MB")


def test_upload_of_too_many_pixels_is_refused_from_the_header(api: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("1", (4000, 4000)).save(buffer, "PNG")
    assert_problem(post_file(api, buffer.getvalue()), 400, "Upload failed", "megapixels")


def test_upload_without_a_file_is_refused(api: httpx.Client) -> None:
    assert_problem(api.post("/upload", files={"picture": ("a.png", b"x")}), 422, "picture", "unknown field")
    assert_problem(api.post("/upload", content=b"x"), 400, "multipart/form-data")
    assert_problem(post_file(api, b""), 400, "empty")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/status/{NOBODY}"),
        ("GET", f"/events/{NOBODY}"),
        ("GET", f"/download/{NOBODY}/original.png"),
        ("DELETE", f"/cleanup/{NOBODY}"),
        ("POST", f"/segment?job_id={NOBODY}&coordinates_list=[[1,1]]"),
        ("GET", "/status/not-an-id"),
        ("GET", "/status/..%2F..%2Fetc%2Fpasswd"),
    ],
)
def test_unknown_job_is_not_found_everywhere(api: httpx.Client, method: str, path: str) -> None:
    answer = api.request(method, path)
    assert_problem(answer, 404)
    if "%2F" not in path:
        assert answer.json()["detail"] == "Job not found"


def test_preview_of_an_unknown_job_is_not_found(api: httpx.Client) -> None:
    assert_problem(api.post("/preview", json={"job_id": NOBODY, "points": [[1, 1]]}), 404, "Job not found")


def test_unknown_file_is_not_found(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    for name in ("mask_0.png", "nothing.png", "archive.zip", "..%2Foriginal.png"):
        assert_problem(api.get(f"/download/{job_id}/{name}"), 404)


def test_segment_while_processing_is_a_conflict(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    segment(api, job_id, coordinates_list=[list(DISC)] * 4)
    answer = api.post("/segment", params={"job_id": job_id}, json={"coordinates_list": [list(DISC)]})
    assert_problem(answer, 409, "processed")
    assert wait(api, job_id)["status"] == "ready"


@pytest.fixture(scope="module")
def uploaded(service_url: str) -> str:
    with httpx.Client(base_url=service_url, timeout=60) as api:
        return upload(api)["job_id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"coordinates_list": [[480, 10]]}, ["(480, 10)", "outside", "480x320"]),
        ({"coordinates_list": [[-1, 10]]}, ["outside"]),
        ({"coordinates_list": [[1, 2, 3]]}, ["coordinates_list.0"]),
        ({"coordinates_list": [["a", 2]]}, ["coordinates_list.0.0"]),
        ({"coordinates_list": []}, ["empty"]),
        ({"coordinates_list": "[[1,1]]"}, ["coordinates_list"]),
        ({"coordinates_list": [[1, 1]], "objects": [{"points": [[1, 1]]}]}, ["once"]),
        ({}, ["coordinates_list"]),
        ({"coordinates_list": [[10, 10]] * 9}, ["9 given", "at most 8"]),
        ({"coordinate_list": [[10, 10]]}, ["coordinate_list", "unknown field"]),
        ({"objects": [{"points": [[10, 10]], "label": [1]}]}, ["objects.0.label", "unknown field"]),
        ({"objects": [{"points": [[10, 10]], "labels": [1, 1]}]}, ["labels"]),
        ({"objects": [{"points": [[10, 10]], "labels": [2]}]}, ["labels"]),
        ({"objects": [{"points": [[10, 10]], "labels": [0]}]}, ["negative"]),
        ({"objects": [{}]}, ["at least one of"]),
        ({"objects": [{"box": [50, 50, 40, 60]}]}, ["box"]),
        ({"objects": [{"mask": "%%%"}]}, ["objects.0.mask", "base64"]),
        ({"coordinates_list": [[10, 10]], "outputs": ["gif"]}, ["outputs"]),
        ({"coordinates_list": [[10, 10]], "outputs": []}, ["outputs"]),
        ({"coordinates_list": [[10, 10]], "dilate_px": -1}, ["dilate_px"]),
        ({"coordinates_list": [[10, 10]], "format": "bmp"}, ["format"]),
        ({"coordinates_list": [[2, 1]], "normalized": True}, ["0..1"]),
    ],
)
def test_segment_names_what_is_wrong(
    api: httpx.Client, uploaded: str, body: dict[str, Any], words: list[str]
) -> None:
    answer = api.post("/segment", params={"job_id": uploaded}, json=body)
    problem = assert_problem(answer, 422, *words)
    assert problem["errors"]
    assert api.get(f"/status/{uploaded}").json()["status"] == "uploaded"


def test_nan_coordinates_are_refused(api: httpx.Client, uploaded: str) -> None:
    answer = api.post(
        "/segment",
        params={"job_id": uploaded},
        content=b'{"coordinates_list": [[NaN, 1]]}',
        headers={"content-type": "application/json"},
    )
    assert_problem(answer, 422)


def test_own_mask_of_another_size_is_refused(api: httpx.Client, uploaded: str) -> None:
    import base64

    small = base64.b64encode(png_bytes(np.full((10, 10), 255, np.uint8))).decode()
    answer = api.post("/segment", params={"job_id": uploaded}, json={"objects": [{"mask": small}]})
    assert_problem(answer, 422, "10 x 10", "480 x 320")


def test_unknown_query_parameter_is_refused(api: httpx.Client, uploaded: str) -> None:
    answer = api.post("/segment", params={"job_id": uploaded, "point": "[[1,1]]"})
    assert_problem(answer, 422, "point", "unknown field")


def test_cleanup_twice_is_not_found_the_second_time(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    assert api.delete(f"/cleanup/{job_id}").status_code == 200
    assert_problem(api.delete(f"/cleanup/{job_id}"), 404, "Job not found")


def test_full_queue_refuses_with_retry_after_and_accepts_nothing(api: httpx.Client) -> None:
    jobs = [upload(api)["job_id"] for _ in range(30)]
    waiting: list[str] = []
    refused: httpx.Response | None = None
    try:
        # The limit is 12 waiting jobs; heavy ones keep the runner busy while the queue fills.
        for job_id in jobs:
            order = {"coordinates_list": [list(DISC)] * 8}
            answer = api.post("/segment", params={"job_id": job_id}, json=order)
            if answer.status_code == 503:
                refused = answer
                upload_refused = post_file(api, png_bytes(scene()))
                assert api.get(f"/status/{job_id}").json()["status"] == "uploaded"
                break
            waiting.append(job_id)
        assert refused is not None, "30 jobs were accepted"
        assert_problem(refused, 503, "queue is full")
        assert int(refused.headers["retry-after"]) > 0
        # A picture whose job could not be queued is not taken in either, unless a place has just come free.
        if upload_refused.status_code != 200:
            assert_problem(upload_refused, 503, "queue is full")
        positions = [api.get(f"/status/{job_id}").json()["queue_position"] for job_id in waiting[-3:]]
        assert all(positions) and positions == sorted(positions)
    finally:
        for job_id in jobs:
            api.delete(f"/cleanup/{job_id}")


def test_unknown_address_and_method_are_problems(api: httpx.Client) -> None:
    assert_problem(api.get("/nothing"), 404)
    assert_problem(api.get("/upload"), 405)


def test_error_job_keeps_the_briefs_words_and_can_be_tried_again(api: httpx.Client) -> None:
    # A mask of 49 pixels is below the smallest object.
    import base64

    mask = np.zeros(scene().shape[:2], np.uint8)
    mask[10:17, 10:17] = 255
    job_id = upload(api)["job_id"]
    segment(api, job_id, objects=[{"mask": base64.b64encode(png_bytes(mask)).decode()}])
    status = wait(api, job_id)
    assert status["status"] == "error"
    assert status["error"] == "Segmentation failed for object 0: mask too small"
    segment(api, job_id, coordinates_list=[list(DISC)])
    assert wait(api, job_id)["status"] == "ready"


def test_a_finished_job_survives_refused_requests(api: httpx.Client) -> None:
    status = finished(api)
    api.post("/segment", params={"job_id": status["job_id"]}, json={"coordinates_list": [[9999, 1]]})
    assert api.get(f"/status/{status['job_id']}").json() == status
