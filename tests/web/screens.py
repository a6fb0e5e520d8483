"""The way through the page that is looked at: every screen once, in the order in which a user meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import expect

from tests.web.editor import Editor
from tests.web.still_life.picture import APPLE, LEMON_BOX, SIZE


def walk(editor: Editor, picture: Path, folder: Path) -> Iterator[str]:
    """The name of each screen, while the page shows it. `picture`: the still life."""
    page = editor.page
    editor.picture_size = SIZE
    editor.visit()
    editor.expect_screen("empty")
    expect(page.locator("#models")).to_be_visible()
    yield "empty"
    editor.press("help-open")
    yield "help"
    page.get_by_role("button", name="Got it").click()
    editor.press("models")
    yield "models"
    editor.press("models")
    broken = folder / "holiday.jpg"
    broken.write_bytes(b"not a picture at all")
    editor.choose(broken)
    expect(page.locator("#notice")).to_contain_text("cannot be read")
    yield "error"

    editor.choose(picture)
    editor.expect_screen("edit")
    if not editor.touch:
        page.mouse.move(*editor.on_screen(APPLE))
        editor.expect_ink_at((APPLE[0] - 60, APPLE[1]))
        yield "hover"
    editor.tap(APPLE)
    editor.expect_objects(1)
    editor.drag(LEMON_BOX[:2], LEMON_BOX[2:])
    editor.expect_objects(2)
    if not editor.touch:
        page.mouse.move(5, 5)
    yield "objects"

    with _held_job(editor):
        editor.press("remove")
        expect(page.locator("#progress-text")).to_contain_text("Filling in the background")
        yield "processing"
    editor.press("cancel-run")
    editor.expect_screen("edit")
    editor.expect_objects(2)
    editor.press("remove")
    editor.expect_screen("results")
    yield "removed"
    page.get_by_role("button", name="Cut out too").click()
    editor.expect_screen("processing")
    editor.expect_screen("results")
    page.get_by_role("button", name="Cut out", exact=True).click()
    expect(page.locator("#cutouts img")).to_have_count(2)
    yield "cut-outs"

    page.route("**/archive.zip", lambda route: route.fulfill(status=401, json={"detail": "Unknown API key"}))
    page.get_by_role("button", name="All as zip").click()
    expect(page.locator("#key")).to_be_visible()
    yield "key"


class _held_job:
    """Inside, a job that is begun stays where the server says it is, at 62 %; it never reaches the server."""

    def __init__(self, editor: Editor) -> None:
        self._page = editor.page
        self._job_id = editor.job_id()

    def __enter__(self) -> None:
        status = {
            "job_id": self._job_id,
            "status": "processing",
            "progress": 62,
            "stage": "inpainting",
            "num_objects": 2,
            "queue_position": None,
        }
        event = f"event: status\ndata: {json.dumps(status)}\n\n"
        self._page.route("**/segment*", lambda route: route.fulfill(json={"status": "processing"}))
        self._page.route(
            "**/events/*", lambda route: route.fulfill(content_type="text/event-stream", body=event)
        )
        self._page.route("**/status/*", lambda route: route.fulfill(json=status))

    def __exit__(self, *_: object) -> None:
        for address in ("**/segment*", "**/events/*", "**/status/*"):
            self._page.unroute(address)
