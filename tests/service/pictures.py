"""Pictures that tests draw themselves, and what clients do with them."""

from __future__ import annotations

import io
import time
from typing import Any

import httpx
import numpy as np
from PIL import Image

DISC = (150, 120)  # x, y of the first object
SQUARE = (330, 180)


def scene(width: int = 480, height: int = 320, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: a soft background, an orange disc around DISC and a blue square around SQUARE."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rng = np.random.default_rng(seed)
    picture = np.stack([90 + 40 * np.sin(x / 60), 140 + 30 * np.cos(y / 50), 110 + 0.1 * x], axis=-1)
    picture[(x - DISC[0]) ** 2 + (y - DISC[1]) ** 2 < 55**2] = (235, 120, 30)
    picture[(abs(x - SQUARE[0]) < 45) & (abs(y - SQUARE[1]) < 45)] = (30, 60, 200)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def png_bytes(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def upload(api: httpx.Client, data: bytes | None = None, **headers: str) -> dict[str, Any]:
    answer = api.post("/upload", files={"file": ("photo.png", data or png_bytes(scene()))}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def segment(api: httpx.Client, job_id: str, **body: Any) -> dict[str, Any]:
    answer = api.post("/segment", params={"job_id": job_id}, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait(api: httpx.Client, job_id: str, seconds: float = 90) -> dict[str, Any]:
    """Poll until the job has ended."""
    deadline = time.monotonic() + seconds
    while True:
        status = api.get(f"/status/{job_id}").raise_for_status().json()
        if status["status"] in ("ready", "error"):
            return status
        assert time.monotonic() < deadline, f"not ended after {seconds} s: {status}"
        time.sleep(0.05)


def finished(api: httpx.Client, **body: Any) -> dict[str, Any]:
    """Status of a job that was uploaded, segmented and has become ready."""
    job_id = upload(api)["job_id"]
    segment(api, job_id, **(body or {"coordinates_list": [list(DISC)]}))
    status = wait(api, job_id)
    assert status["status"] == "ready", status
    return status


def artifact(api: httpx.Client, job_id: str, name: str) -> bytes:
    answer = api.get(f"/download/{job_id}/{name}")
    assert answer.status_code == 200, answer.text
    return answer.content
