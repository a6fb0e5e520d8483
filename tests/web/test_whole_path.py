from __future__ import annotations

import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import FileChooser, TimeoutError, expect

from tests.web.editor import DISC, SIZE, SQUARE, Editor


def test_removing_a_tapped_object_gives_the_picture_without_it(
    editor: Editor, picture: Path, tmp_path: Path
) -> None:
    editor.open(picture)
    editor.tap(DISC)
    editor.expect_objects(1)
    assert editor.ink_at((DISC[0] + 30, DISC[1] + 30))[3] > 0, "the mask is not drawn over the object"
    assert editor.ink_at((10, 470))[3] == 0, "the mask is drawn where the object is not"

    editor.press("remove")
    editor.expect_screen("results")
    expect(editor.page.locator("#compare")).to_be_visible()
    saved = editor.save("#files a[download]", tmp_path)

    assert saved.name == "two shapes-removed.png"
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (picture, saved))
    assert after.shape == before.shape
    assert not np.array_equal(after[DISC[1], DISC[0]], before[DISC[1], DISC[0]])
    assert np.array_equal(after[470, 10], before[470, 10])


def test_cutting_out_two_objects_gives_both_and_a_zip_of_all(
    phone: Editor, picture: Path, tmp_path: Path
) -> None:
    phone.mark_both(picture)
    phone.press("cut-out")
    phone.expect_screen("results")

    expect(phone.page.locator("#cutouts img")).to_have_count(2)
    archive = phone.save("#result-actions button:has-text('zip')", tmp_path)
    with zipfile.ZipFile(archive) as packed:
        assert {"cropped_0.png", "cropped_1.png"} <= set(packed.namelist())
        with packed.open("cropped_1.png") as file:
            cut_out = Image.open(file)
            assert cut_out.mode == "RGBA"
            assert cut_out.getchannel("A").getextrema() == (0, 255)
    one = phone.save("#files li:nth-child(2) a[download]", tmp_path)
    assert one.name == "two shapes-cut-out-2.png"


def test_a_box_is_drawn_by_dragging(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    start = desktop.on_screen((SQUARE[0] - 85, SQUARE[1] - 85))
    end = desktop.on_screen((SQUARE[0] + 85, SQUARE[1] + 85))
    with desktop.expect_preview(lambda prompt: "box" in prompt) as asked:
        desktop.page.mouse.move(*start)
        desktop.page.mouse.down()
        desktop.page.mouse.move(*end, steps=4)
        desktop.page.mouse.up()
    body = asked.value.post_data_json
    assert np.abs(np.array(body["box"]) - [415, 145, 585, 315]).max() <= 2
    desktop.expect_objects(1)


def test_a_point_is_sent_in_pixels_of_the_original_whatever_the_zoom(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    for _ in range(3):
        desktop.press("zoom-in")
    with desktop.expect_preview(lambda prompt: prompt["points"] == [[300, 250]]):
        desktop.tap((300, 250))


def test_two_fingers_zoom_and_select_nothing(phone: Editor, picture: Path) -> None:
    phone.open(picture)
    x, y = phone.on_screen(DISC)
    phone.spread_two_fingers(phone.fingers())
    assert np.abs(np.array(phone.on_screen(DISC)) - (x, y)).max() < 2


def test_holding_a_finger_leaves_a_part_out(phone: Editor, picture: Path) -> None:
    phone.open(picture)
    phone.tap(DISC)
    phone.expect_objects(1)
    x, y = phone.on_screen((DISC[0], DISC[1] + 60))
    finger = phone.page.context.new_cdp_session(phone.page)
    with phone.expect_preview(lambda prompt: prompt["labels"] == [1, 0]):
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_shift_click_leaves_a_part_out_and_undo_takes_it_back(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.page.keyboard.down("Shift")
    with desktop.expect_preview(lambda prompt: prompt["labels"] == [1, 0]):
        desktop.tap((DISC[0], DISC[1] + 60))
    desktop.page.keyboard.up("Shift")
    desktop.page.keyboard.press("Control+z")
    desktop.expect_objects(1)
    desktop.page.keyboard.press("Control+z")
    desktop.expect_objects(0)
    desktop.page.keyboard.press("Control+Shift+z")
    desktop.expect_objects(1)


def press_enter_until_a_file_can_be_chosen(desktop: Editor) -> FileChooser:
    """A busy browser now and then drops the first press's dialog: as a user does, this presses again."""
    for _ in range(2):
        try:
            with desktop.page.expect_file_chooser(timeout=15_000) as chooser:
                desktop.page.keyboard.press("Enter")
            return chooser.value
        except TimeoutError:
            expect(desktop.page.locator("#choose")).to_be_focused()
    raise AssertionError("Enter on the button opens no file dialog")


def test_a_picture_is_opened_cleaned_and_downloaded_by_keyboard_alone(
    desktop: Editor, picture: Path, tmp_path: Path
) -> None:
    keyboard = desktop.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(40):
            keyboard.press("Tab")
            if desktop.page.locator(f"{selector}:focus").count():
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    desktop.visit()
    expect(desktop.page.locator("#models")).to_be_visible()  # the page's modules run
    tab_to("#choose")
    press_enter_until_a_file_can_be_chosen(desktop).set_files(picture)
    desktop.expect_screen("edit")
    expect(desktop.page.locator("#stage")).to_be_focused()
    for key in ("ArrowLeft", "Shift+ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter"):
        keyboard.press(key)
    desktop.expect_objects(1)
    tab_to("#remove")
    keyboard.press("Enter")
    desktop.expect_screen("results")
    expect(desktop.page.locator("#results-title")).to_be_focused()
    slider = desktop.page.locator("#compare input")
    slider.focus()
    keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0 percent before")
    tab_to("#result-actions button")
    with desktop.page.expect_download() as download:
        keyboard.press("Enter")
    assert download.value.suggested_filename == "two shapes-removed.png"


def test_a_result_is_copied_as_a_picture(desktop: Editor, picture: Path) -> None:
    desktop.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.press("cut-out")
    desktop.expect_screen("results")
    desktop.page.get_by_role("button", name="Copy: Object 1").click()
    copied, deadline = None, time.monotonic() + 30
    while copied is None and time.monotonic() < deadline:
        copied = desktop.page.evaluate(
            """async () => {
                const [item] = await navigator.clipboard.read();
                if (!item?.types.includes('image/png')) return null; // not copied yet
                const picture = await createImageBitmap(await item.getType('image/png'));
                return [picture.width, picture.height];
            }"""
        )
    shown = desktop.page.locator("#cutouts img").evaluate(
        "image => [image.naturalWidth, image.naturalHeight]"
    )
    assert copied == shown


def test_a_reload_comes_back_to_the_selection_and_then_to_the_results(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.page.reload()
    desktop.expect_screen("edit")
    desktop.expect_objects(1)
    desktop.press("cut-out")
    desktop.expect_screen("results")
    desktop.page.reload()
    desktop.expect_screen("results")
    expect(desktop.page.locator("#cutouts img")).to_have_count(1)
    desktop.press("change-selection")
    desktop.expect_objects(1)


def test_a_new_picture_deletes_the_old_job(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    job_id = desktop.job_id()
    status = f"{desktop.service_url}/status/{job_id}"
    assert httpx.get(status).json()["width"] == SIZE[0]
    with desktop.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        desktop.press("start-over")
    desktop.expect_screen("empty")
    assert httpx.get(status).status_code == 404
    assert desktop.job_id() == ""


def test_the_page_says_which_models_are_loaded(desktop: Editor) -> None:
    desktop.visit()
    health = httpx.get(f"{desktop.service_url}/health").json()
    kinds = {network["checkpoint"] for network in health["checkpoints"].values()}
    expected = {"bundled": "Bundled models", "released": "Released models", "configured": "Own models"}
    name = expected[kinds.pop()] if len(kinds) == 1 else "Mixed models"
    expect(desktop.page.locator("#models-name")).to_have_text(name)
