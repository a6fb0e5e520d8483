from __future__ import annotations

import io
import json
import zipfile

import cv2
import httpx
import numpy as np
import pytest

from tests.service.pictures import (
    DISC,
    SQUARE,
    artifact,
    finished,
    pixels_of,
    png_bytes,
    scene,
    segment,
    upload,
    wait,
)


def test_brief_workflow_works_as_written(api: httpx.Client) -> None:
    uploaded = upload(api)
    assert uploaded["status"] == "uploaded"
    assert uploaded["message"] == "Image uploaded. Send coordinates to segment."
    job_id = uploaded["job_id"]

    answer = segment(api, job_id, coordinates_list=[list(DISC), list(SQUARE)])
    assert answer == {"job_id": job_id, "status": "processing", "message": "Segmenting 2 objects..."}

    status = wait(api, job_id)
    assert status["status"] == "ready" and status["progress"] == 100 and status["num_objects"] == 2
    for name in ["original.png", "full_inpainted.png", "result.json"]:
        assert name in status["files"]
    for kind in ("mask", "cropped", "inpainted"):
        assert {f"{kind}_0.png", f"{kind}_1.png"} <= set(status["files"])

    assert api.delete(f"/cleanup/{job_id}").json() == {"status": "deleted", "job_id": job_id}
    gone = api.get(f"/status/{job_id}")
    assert gone.status_code == 404 and gone.json()["detail"] == "Job not found"


def test_points_in_query_work_as_in_body(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    answer = api.post("/segment", params={"job_id": job_id, "coordinates_list": json.dumps([list(DISC)])})
    assert answer.json()["message"] == "Segmenting 1 object..."
    assert wait(api, job_id)["status"] == "ready"


@pytest.fixture(scope="module")
def two_objects(service_url: str) -> dict[str, bytes]:
    """All artifacts of one job with two objects."""
    with httpx.Client(base_url=service_url, timeout=60) as api:
        status = finished(api, coordinates_list=[list(DISC), list(SQUARE)])
        return {name: artifact(api, status["job_id"], name) for name in [*status["files"], "archive.zip"]}


def test_original_is_the_uploaded_picture(two_objects: dict[str, bytes]) -> None:
    assert np.array_equal(pixels_of(two_objects["original.png"]), scene())


def test_mask_is_binary_and_contains_its_tap(two_objects: dict[str, bytes]) -> None:
    mask = pixels_of(two_objects["mask_0.png"])
    assert mask.shape == scene().shape[:2] and set(np.unique(mask)) <= {0, 255}
    assert mask[DISC[1], DISC[0]] == 255


def test_cutout_is_transparent_outside_and_lies_at_its_offset(two_objects: dict[str, bytes]) -> None:
    cut_out = pixels_of(two_objects["cropped_0.png"])
    assert cut_out.ndim == 3 and cut_out.shape[2] == 4
    result = json.loads(two_objects["result.json"])
    x, y = result["objects"][0]["crop_offset"]
    assert cut_out[DISC[1] - y, DISC[0] - x, 3] == 255
    assert cut_out[0, 0, 3] == 0
    original = pixels_of(two_objects["original.png"])
    opaque = cut_out[..., 3] == 255
    inside = original[y : y + cut_out.shape[0], x : x + cut_out.shape[1]]
    assert np.abs(cut_out[..., :3].astype(int) - inside)[opaque].mean() < 3


def test_pixels_away_from_the_object_are_byte_identical(two_objects: dict[str, bytes]) -> None:
    original = pixels_of(two_objects["original.png"])
    mask = pixels_of(two_objects["mask_0.png"])
    changed = (pixels_of(two_objects["inpainted_0.png"]) != original).any(axis=-1)
    assert changed[mask > 0].mean() > 0.5  # the object has gone
    reach = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (81, 81))) > 0
    assert not changed[~reach].any()


def test_full_result_removes_every_object(two_objects: dict[str, bytes]) -> None:
    original = pixels_of(two_objects["original.png"])
    full = pixels_of(two_objects["full_inpainted.png"])
    for index in (0, 1):
        mask = pixels_of(two_objects[f"mask_{index}.png"]) > 0
        assert (full != original).any(axis=-1)[mask].mean() > 0.5


def test_result_json_says_what_happened(two_objects: dict[str, bytes]) -> None:
    result = json.loads(two_objects["result.json"])
    assert result["checkpoints"]["mobile_sam"]["checkpoint"] == "bundled"
    assert len(result["checkpoints"]["lama"]["digest"]) == 64
    # The embedding was there already: the upload had asked for it.
    assert {"decode", "refine", "inpaint", "compose", "cut_out"} <= set(result["seconds"]["by_stage"])
    for span in result["seconds"]["spans"]:
        assert 0 <= span["start"] <= span["start"] + span["seconds"] <= result["seconds"]["total"] + 0.01
    first = result["objects"][0]
    assert first["area"] == int((pixels_of(two_objects["mask_0.png"]) > 0).sum())
    assert first["prompt"]["points"] == [[float(DISC[0]), float(DISC[1])]]
    assert first["rle"]["size"] == list(scene().shape[:2]) and first["polygons"]


def test_archive_holds_every_file(two_objects: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(two_objects["archive.zip"])) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {name: data for name, data in two_objects.items() if name != "archive.zip"}


def test_outputs_not_asked_for_are_not_made(api: httpx.Client) -> None:
    status = finished(api, coordinates_list=[list(DISC)], outputs=["cropped"])
    assert set(status["files"]) == {"original.png", "cropped_0.png", "result.json"}
    seconds = json.loads(artifact(api, status["job_id"], "result.json"))["seconds"]["by_stage"]
    assert "inpaint" not in seconds


def test_format_webp_and_jpeg_apply_to_inpainted_results(api: httpx.Client) -> None:
    status = finished(api, coordinates_list=[list(DISC)], outputs=["full_inpainted", "masks"], format="webp")
    assert set(status["files"]) == {"original.png", "full_inpainted.webp", "mask_0.png", "result.json"}
    answer = api.get(f"/download/{status['job_id']}/full_inpainted.webp")
    assert answer.headers["content-type"] == "image/webp" and answer.content[8:12] == b"WEBP"


def test_ready_job_is_segmented_again_with_other_points(api: httpx.Client) -> None:
    status = finished(api, coordinates_list=[list(DISC), list(SQUARE)])
    job_id = status["job_id"]
    first = artifact(api, job_id, "mask_0.png")
    segment(api, job_id, coordinates_list=[list(SQUARE)])
    again = wait(api, job_id)
    assert again["status"] == "ready" and again["num_objects"] == 1
    assert "mask_1.png" not in again["files"]
    assert artifact(api, job_id, "mask_0.png") != first


def test_own_mask_takes_the_decoders_place(api: httpx.Client) -> None:
    import base64

    mask = np.zeros(scene().shape[:2], np.uint8)
    mask[40:90, 200:260] = 255
    encoded = base64.b64encode(png_bytes(mask)).decode()
    status = finished(api, objects=[{"mask": encoded}, {"points": [list(DISC)]}])
    assert np.array_equal(pixels_of(artifact(api, status["job_id"], "mask_0.png")), mask)
    assert pixels_of(artifact(api, status["job_id"], "mask_1.png"))[DISC[1], DISC[0]] == 255


def test_taps_labels_and_box_of_one_object_give_one_mask(api: httpx.Client) -> None:
    status = finished(
        api,
        objects=[{"points": [list(SQUARE), [20, 20]], "labels": [1, 0], "box": [280, 130, 380, 230]}],
        outputs=["masks"],
    )
    assert status["num_objects"] == 1 and len(status["objects"]) == 1


def test_normalized_coordinates_mean_the_same_as_pixels(api: httpx.Client) -> None:
    width, height = scene().shape[1], scene().shape[0]
    point = [DISC[0] / (width - 1), DISC[1] / (height - 1)]
    scaled = finished(api, objects=[{"points": [point]}], normalized=True, outputs=["masks"])
    plain = finished(api, coordinates_list=[list(DISC)], outputs=["masks"])
    assert artifact(api, scaled["job_id"], "mask_0.png") == artifact(api, plain["job_id"], "mask_0.png")


def test_large_upload_is_scaled_to_the_limit_and_says_so(api: httpx.Client) -> None:
    answer = upload(api, png_bytes(np.zeros((500, 2000, 3), np.uint8)))
    assert (answer["width"], answer["height"]) == (1024, 256)
    assert (answer["uploaded_width"], answer["uploaded_height"]) == (2000, 500)
    assert any("scaled down" in note for note in answer["notes"])
