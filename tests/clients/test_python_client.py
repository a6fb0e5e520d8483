"""The Python client against the running service."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import tapcut_client
from PIL import Image
from tapcut_client import AsyncClient, Client, ObjectPrompt, RetryPolicy, Status

from tests.service.pictures import DISC, SQUARE, pixels_of, png_bytes, scene


def test_remove_gives_the_picture_back_without_the_object(service_url: str) -> None:
    picture = scene()
    with Client(service_url) as client:
        result = client.remove(Image.fromarray(picture), [DISC])
        removed = result.array("full_inpainted.png")
        assert removed.shape == picture.shape
        assert abs(removed[DISC[1], DISC[0]].astype(int) - picture[DISC[1], DISC[0]]).max() > 60
        assert np.array_equal(removed[:20], picture[:20])
        with pytest.raises(tapcut_client.NotFound):
            client.status(result.status.job_id)  # cleaned up behind it


def test_extract_gives_cut_outs_with_their_place(service_url: str) -> None:
    with Client(service_url) as client:
        result = client.extract(
            scene(), objects=[ObjectPrompt([DISC]), ObjectPrompt(box=(280, 130, 380, 230))]
        )
    assert set(result.files) == {"mask_0.png", "mask_1.png", "cropped_0.png", "cropped_1.png"}
    cut_out = result.image("cropped_0.png")
    offset = result.status.objects[0].crop_offset
    assert cut_out.mode == "RGBA" and offset is not None
    assert cut_out.getpixel((DISC[0] - offset[0], DISC[1] - offset[1]))[3] == 255


def test_every_step_by_itself(service_url: str, tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    heard: list[Status] = []
    photo = tmp_path / "photo.png"
    photo.write_bytes(png_bytes(scene()))
    with Client(service_url) as client:
        assert client.health()["status"] == "ok"
        job = client.upload(photo, on_progress=lambda done, total: sent.append((done, total)))
        assert sent[-1] == (photo.stat().st_size, photo.stat().st_size)
        assert (job.width, job.height) == (480, 320)
        preview = client.preview(job.job_id, [DISC])
        assert preview.outline.area > 5000 and preview.candidates
        client.segment(job.job_id, [DISC, SQUARE], outputs=["cropped"])
        status = client.wait(job.job_id, timeout_s=60, on_status=heard.append)
        assert status.status == "ready" and [one.index for one in status.objects] == [0, 1]
        assert [one.progress for one in heard] == sorted(one.progress for one in heard)
        path = client.download_to(job.job_id, "cropped_1.png", tmp_path / "square.png")
        assert path.read_bytes() == client.download(job.job_id, "cropped_1.png")
        assert pixels_of(path.read_bytes()).shape[2] == 4
        assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
        assert client.cleanup(job.job_id) and not client.cleanup(job.job_id)


def test_refusals_are_errors_with_the_services_words(service_url: str) -> None:
    with Client(service_url) as client:
        with pytest.raises(tapcut_client.InvalidPicture, match="unidentified image file"):
            client.upload(b"not a picture")
        job = client.upload(scene())
        with pytest.raises(tapcut_client.InvalidRequest) as refused:
            client.segment(job.job_id, [(5000, 1)])
        assert "outside" in str(refused.value) and refused.value.fields and refused.value.request_id
        too_small = png_bytes(np.pad(np.full((5, 5), 255, np.uint8), ((0, 315), (0, 475))))
        client.segment(job.job_id, objects=[ObjectPrompt(mask=too_small)])
        with pytest.raises(tapcut_client.JobFailed, match="mask too small"):
            client.wait(job.job_id, timeout_s=60)
        client.cleanup(job.job_id)
        with pytest.raises(tapcut_client.NotFound):
            client.wait(job.job_id)


def test_waiting_ends_when_its_time_is_up(service_url: str) -> None:
    with Client(service_url) as client:
        job = client.upload(scene())
        start = time.monotonic()
        with pytest.raises(tapcut_client.WaitTimeout, match="uploaded"):
            client.wait(job.job_id, timeout_s=0.5)
        assert time.monotonic() - start < 15
        client.cleanup(job.job_id)


def test_a_full_queue_is_waited_for_as_the_service_asks(service_url: str) -> None:
    refusals: list[str] = []
    lock = threading.Lock()

    class Watching(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if response.status_code == 503:
                with lock:
                    refusals.append(response.headers["retry-after"])
            return response

    picture = png_bytes(scene())
    with Client(service_url, transport=Watching(), retry=RetryPolicy(tries=50)) as client:

        def one(_: int) -> str:
            job = client.upload(picture)
            client.segment(job.job_id, [DISC] * 2)
            status = client.wait(job.job_id, timeout_s=120)
            client.cleanup(job.job_id)
            return status.status

        # Three run and twelve may wait: of 18 at once some are refused, and none is lost.
        with ThreadPoolExecutor(18) as threads:
            assert list(threads.map(one, range(18))) == ["ready"] * 18
    assert refusals


async def test_the_asynchronous_client_does_the_same(service_url: str, tmp_path: Path) -> None:
    async with AsyncClient(service_url) as client:
        results = await asyncio.gather(*(client.remove(scene(seed=seed), [DISC]) for seed in range(3)))
        assert all(list(result.files) == ["full_inpainted.png"] for result in results)
        job = await client.upload(scene())
        assert (await client.preview(job.job_id, [DISC])).outline.area > 5000
        await client.segment(job.job_id, [SQUARE], format="webp")
        heard: list[Status] = []
        await client.wait(job.job_id, timeout_s=60, on_status=heard.append)
        assert heard[-1].ended
        path = await client.download_to(job.job_id, "inpainted_0.webp", tmp_path / "a.webp")
        with Image.open(path) as image:
            assert image.format == "WEBP"
        assert await client.cleanup(job.job_id)
        with pytest.raises(tapcut_client.NotFound):
            await client.status(job.job_id)


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, inspect.Signature]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(one) for name, one in methods if not name.startswith("_")}

    sync, asynchronous = calls(Client), calls(AsyncClient)
    assert {**sync, "aclose": sync["close"]} == {**asynchronous, "close": asynchronous["aclose"]}


def test_points_mean_the_picture_that_was_given_also_where_the_service_makes_it_smaller(
    service_url: str,
) -> None:
    large = scene().repeat(3, axis=0).repeat(3, axis=1)
    left, top, right, bottom = (
        3 * (side + out) for side, out in zip(DISC * 2, (-56, -56, 56, 56), strict=True)
    )
    mask = np.zeros((960, 1440), np.uint8)
    mask[300:500, 600:900] = 255
    with Client(service_url) as client:
        result = client.extract(
            large,
            objects=[ObjectPrompt(box=(left, top, right, bottom)), ObjectPrompt(mask=png_bytes(mask))],
            timeout_s=60,
        )
    assert (result.upload.width, result.upload.uploaded_width) == (1024, 1440)
    scale = 1024 / 1440
    disc, given = result.status.objects
    assert np.allclose(disc.outline.bbox, np.array([left, top, right, bottom]) * scale, atol=8)
    assert np.allclose(given.outline.bbox, np.array([600, 300, 900, 500]) * scale, atol=2)
