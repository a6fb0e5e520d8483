"""Outlines corrected by hand: what is painted is what is drawn, sent, kept and cut out."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Route, expect

from tests.web.brushwork import painted
from tests.web.editor import DISC, SIZE, SQUARE, Editor

INSIDE = (DISC[0] - 40, DISC[1])
BESIDE = (330, 120)


def strokes_kept(editor: Editor) -> list[dict[str, Any]]:
    """The strokes of the first object, as the browser keeps them for a reload."""
    kept = json.loads(editor.page.evaluate("localStorage.getItem('tapcut.job')"))
    strokes: list[dict[str, Any]] = kept["selection"]["objects"][0]["strokes"]
    return strokes


def drag(editor: Editor, *points: tuple[int, int]) -> None:
    """Draw a line through pixels of the picture with the mouse."""
    editor.page.mouse.move(*editor.on_screen(points[0]))
    editor.page.mouse.down()
    for point in points[1:]:
        editor.page.mouse.move(*editor.on_screen(point), steps=6)
    editor.page.mouse.up()


def mask_of(png: bytes) -> NDArray[np.bool_]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")) > 127


def is_tinted(editor: Editor, point: tuple[int, int]) -> bool:
    """Whether the page shows this pixel as part of an object, once all is drawn."""
    editor.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return editor.ink_at(point)[3] > 0


def test_what_is_painted_and_erased_is_cut_out_to_the_pixel(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.press("tool-erase")
    drag(desktop, INSIDE, (DISC[0] - 40, DISC[1] + 60))
    assert not is_tinted(desktop, INSIDE)
    desktop.press("tool-paint")
    drag(desktop, BESIDE, (380, 100), (390, 160))
    assert is_tinted(desktop, (380, 100))
    desktop.expect_objects(1)

    job_id, strokes = desktop.job_id(), strokes_kept(desktop)
    assert [stroke["erase"] for stroke in strokes] == [True, False]
    assert np.abs(np.array(strokes[1]["path"][:2]) - BESIDE).max() <= 1.5
    with httpx.Client(base_url=desktop.service_url) as api:
        prompt = {"job_id": job_id, "points": [list(DISC)]}
        before = mask_of(api.post("/preview", json=prompt, headers={"Accept": "image/png"}).content)
        sent = []

        def with_masks(route: Route) -> None:
            body = route.request.post_data_json
            sent.append(body["objects"][0])
            route.continue_(post_data=json.dumps({**body, "outputs": [*body["outputs"], "masks"]}))

        desktop.page.route("**/segment*", with_masks)
        desktop.press("cut-out")
        desktop.expect_screen("results")
        result = mask_of(api.get(f"/download/{job_id}/mask_0.png").content)
        cut_out = Image.open(io.BytesIO(api.get(f"/download/{job_id}/cropped_0.png").content))
    assert np.array_equal(result, mask_of(base64.b64decode(sent[0]["mask"])))
    assert np.array_equal(result, painted(before, strokes))
    assert result[BESIDE[1], BESIDE[0]] and not result[INSIDE[1], INSIDE[0]]
    assert cut_out.width > 2 * 92 + 40, "the cut-out lacks what was painted beside the disc"


def test_each_stroke_is_undone_by_itself_and_survives_a_reload(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.page.keyboard.press("b")
    drag(desktop, BESIDE, (380, 120))
    drag(desktop, SQUARE, (520, 230))
    assert is_tinted(desktop, BESIDE) and is_tinted(desktop, SQUARE)
    desktop.page.keyboard.press("Control+z")
    assert is_tinted(desktop, BESIDE) and not is_tinted(desktop, SQUARE)
    desktop.page.keyboard.press("Control+Shift+z")
    assert is_tinted(desktop, SQUARE)
    strokes = strokes_kept(desktop)
    desktop.page.reload()
    desktop.expect_screen("edit")
    desktop.expect_objects(1)
    assert is_tinted(desktop, BESIDE) and is_tinted(desktop, SQUARE)
    assert strokes_kept(desktop) == strokes
    expect(desktop.page.locator("#objects")).to_contain_text("by hand")


def test_a_further_tap_keeps_the_strokes_on_top(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.press("tool-paint")
    drag(desktop, BESIDE, (380, 120))
    desktop.press("tool-add")
    with desktop.expect_preview(lambda prompt: len(prompt["points"]) == 2):
        desktop.tap((DISC[0] + 30, DISC[1]))
    desktop.expect_objects(1)
    assert is_tinted(desktop, BESIDE)
    desktop.press("tool-leave-out")
    desktop.tap((350, 120))
    desktop.expect_objects(1)
    assert is_tinted(desktop, (350, 120))
    expect(desktop.page.locator("#hint")).to_contain_text("painted by hand: erase it instead")


def test_shift_turns_the_brush_round_and_its_circle_shows_its_size(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.press("tool-paint")
    drag(desktop, BESIDE, (380, 120))
    desktop.page.keyboard.press("]")
    across = int(desktop.page.locator("#brush-across").inner_text().removesuffix(" px"))
    desktop.page.mouse.move(*desktop.on_screen((350, 120)))
    circle = desktop.page.locator("#brush-cursor").bounding_box()
    scale = (desktop.on_screen((100, 0))[0] - desktop.on_screen((0, 0))[0]) / 100
    assert circle is not None and abs(circle["width"] - across * scale) <= scale
    desktop.page.keyboard.down("Shift")
    drag(desktop, (350, 120), (350, 125))
    desktop.page.keyboard.up("Shift")
    assert is_tinted(desktop, (380, 120)) and not is_tinted(desktop, (350, 120))
    assert abs(2 * strokes_kept(desktop)[1]["path"][2] - across) <= 1


def test_one_finger_paints_and_two_still_zoom(phone: Editor, picture: Path) -> None:
    phone.open(picture)
    phone.press("tool-paint")
    touch = phone.fingers()
    phone.spread_two_fingers(touch)

    start, end = phone.on_screen((DISC[0] - 15, DISC[1])), phone.on_screen((DISC[0] + 15, DISC[1]))
    touch("touchStart", start)
    touch("touchMove", phone.on_screen(DISC))
    touch("touchMove", end)
    touch("touchEnd")
    phone.expect_objects(1)
    assert is_tinted(phone, DISC) and not is_tinted(phone, (DISC[0], DISC[1] + 40))
    (stroke,) = strokes_kept(phone)
    assert stroke["path"][0] < DISC[0] < stroke["path"][-3]


def test_an_object_is_painted_by_keyboard_alone(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    keyboard = desktop.page.keyboard
    expect(desktop.page.locator("#stage")).to_be_focused()
    for key in ("b", "ArrowRight", "Enter"):
        keyboard.press(key)
    desktop.expect_objects(1)
    expect(desktop.page.locator("#spoken")).to_have_text("Object 1 corrected by hand: 1 stroke")
    middle = (SIZE[0] // 2, SIZE[1] // 2)
    assert is_tinted(desktop, (middle[0] + 11, middle[1]))
    for key in ("ArrowLeft", "Shift+Enter"):
        keyboard.press(key)
    assert not is_tinted(desktop, middle)


def test_an_object_that_is_erased_wholly_cannot_be_cut_out(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.press("tool-paint")
    drag(desktop, BESIDE, (350, 120))
    for _ in range(3):
        desktop.page.keyboard.press("]")
    desktop.press("tool-erase")
    drag(desktop, (320, 120), (360, 120))
    expect(desktop.page.locator("#hint")).to_contain_text("Nothing is left of Object 1")
    expect(desktop.page.locator("#cut-out")).to_be_disabled()
    desktop.page.keyboard.press("Control+z")
    expect(desktop.page.locator("#cut-out")).to_be_enabled()


def test_a_browser_that_keeps_nothing_more_says_so(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.page.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
    )
    desktop.press("tool-paint")
    drag(desktop, BESIDE, (350, 120))
    desktop.expect_objects(1)
    expect(desktop.page.locator("#notice")).to_contain_text("will not bring back your last changes")
