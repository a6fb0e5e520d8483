"""Large pictures: sent as they are, and as a smaller copy only where the user asks for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.web.editor import Editor

SIDE, WIDTH = 4200, 900  # as it is seen: upright
RED, GREEN, BLUE = (200, 40, 36), (40, 160, 60), (30, 60, 190)


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 900 x 4200 that a camera stored lying on its side: red above, green, and blue below."""
    upright = np.zeros((SIDE, WIDTH, 3), np.uint8)
    for part, colour in enumerate((RED, GREEN, BLUE)):
        upright[part * SIDE // 3 : (part + 1) * SIDE // 3] = colour
    upright[::7, ::5] += 20
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path_factory.mktemp("large") / "tall.jpg"
    Image.fromarray(np.rot90(upright)).save(path, quality=92, exif=exif)
    return path


def throttle(editor: Editor, bytes_a_second: int) -> None:
    network = editor.page.context.new_cdp_session(editor.page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", limits)


def uploads_of(editor: Editor) -> list[dict[str, Any]]:
    """Answers to uploads from here on."""
    answers: list[dict[str, Any]] = []

    def on_response(response: Any) -> None:
        if response.url.endswith("/upload") and response.ok:
            answers.append(response.json())

    editor.page.on("response", on_response)
    return answers


def test_a_smaller_copy_is_sent_where_it_is_asked_for_and_remembered(desktop: Editor, tall: Path) -> None:
    answers = uploads_of(desktop)
    desktop.open(tall)
    assert (answers[0]["uploaded_width"], answers[0]["uploaded_height"]) == (WIDTH, SIDE)
    desktop.press("start-over")

    throttle(desktop, 20_000)
    desktop.choose(tall)
    offer = desktop.page.get_by_role("button", name="Send a smaller copy (about")
    expect(offer).to_be_visible()
    expect(desktop.page.locator("#instead-note")).to_contain_text("up to 2560 pixels")
    throttle(desktop, -1)
    offer.click()
    desktop.expect_screen("edit")
    assert (answers[1]["uploaded_width"], answers[1]["uploaded_height"]) == (549, 2560)
    kept = httpx.get(f"{desktop.service_url}/download/{desktop.job_id()}/original.png").content
    pixels = np.asarray(Image.open(io.BytesIO(kept)).convert("RGB")).astype(int)
    for share, colour in ((0.1, RED), (0.5, GREEN), (0.9, BLUE)):
        seen = pixels[round(share * pixels.shape[0])].mean(axis=0)
        assert np.abs(seen - colour).max() < 6, f"{seen} where {colour} should be"

    desktop.press("start-over")
    desktop.choose(tall)
    desktop.expect_screen("edit")
    assert answers[2]["uploaded_height"] == 2560, "what was chosen is not remembered"


def test_a_file_over_the_limit_is_offered_as_a_smaller_copy(desktop: Editor, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (900, 1000, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > 2_000_000
    answers = uploads_of(desktop)
    desktop.visit()
    desktop.choose(path)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("larger than the limit of 2 MB")
    notice.get_by_role("button", name="Send a smaller copy").click()
    desktop.expect_screen("edit")
    assert (answers[0]["uploaded_width"], answers[0]["uploaded_height"]) == (1000, 900)


def test_a_picture_of_ordinary_size_is_sent_without_a_question(desktop: Editor, picture: Path) -> None:
    throttle(desktop, 100_000)
    desktop.visit()
    desktop.choose(picture)
    expect(desktop.page.locator("#progress-text")).to_contain_text("Sending the picture")
    expect(desktop.page.locator("#instead")).to_be_hidden()
    throttle(desktop, -1)
    desktop.expect_screen("edit")
