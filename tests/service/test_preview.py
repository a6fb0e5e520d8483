from __future__ import annotations

import httpx

from tests.service.pictures import DISC, artifact, pixels_of, segment, upload, wait


def test_preview_shows_the_mask_that_segment_uses(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    body = {"job_id": job_id, "points": [list(DISC)], "labels": [1], "box": None}
    preview = api.post("/preview", json=body)
    assert preview.status_code == 200, preview.text
    shown = preview.json()
    assert set(shown) == {"score", "area", "bbox", "polygons", "rle", "candidates"}
    mask = api.post("/preview", json=body, headers={"Accept": "image/png"})
    assert mask.headers["content-type"] == "image/png"
    assert int((pixels_of(mask.content) > 0).sum()) == shown["area"]
    segment(api, job_id, coordinates_list=[list(DISC)], outputs=["masks"])
    assert wait(api, job_id)["status"] == "ready"
    assert (pixels_of(artifact(api, job_id, "mask_0.png")) == pixels_of(mask.content)).all()


def test_preview_of_a_box_lies_about_in_the_box(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    answer = api.post("/preview", json={"job_id": job_id, "box": [285, 135, 375, 225]})
    assert answer.status_code == 200, answer.text
    x0, y0, x1, y1 = answer.json()["bbox"]
    assert x0 < 330 < x1 and y0 < 180 < y1
    assert len(answer.json()["candidates"]) >= 1
