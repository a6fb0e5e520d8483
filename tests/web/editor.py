"""The page as its user handles it: what one presses and what one then sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

# The machine may be busy with other stages; a wait ends as soon as what is awaited is there.
expect.set_options(timeout=30_000)

# Middles of the two shapes in the picture of the tests, xy pixels.
DISC = (220, 240)
SQUARE = (500, 230)
SIZE = (640, 480)


class Editor:
    """One open page. `touch`: taps are made by a finger, else by the mouse."""

    def __init__(self, page: Page, service_url: str, touch: bool) -> None:
        self.page = page
        self.service_url = service_url.rstrip("/")
        self.touch = touch
        self.picture_size = SIZE
        self.page_errors: list[str] = []
        self.foreign_requests: list[str] = []
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.on("console", lambda message: self._on_console(message.text))
        page.on("request", lambda request: self._on_request(request.url))

    def _on_console(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.page_errors.append(text)

    def _on_request(self, url: str) -> None:
        if not url.startswith((self.service_url, "blob:", "data:")):
            self.foreign_requests.append(url)

    def visit(self, fragment: str = "") -> None:
        self.page.goto(f"{self.service_url}/app/{fragment}")

    def open(self, picture: Path) -> None:
        """Choose a picture and wait until it can be tapped."""
        self.visit()
        self.choose(picture)
        self.expect_screen("edit")

    def choose(self, picture: Path) -> None:
        self.page.set_input_files("#file", picture)

    def expect_screen(self, name: str) -> None:
        expect(self.page.locator("body")).to_have_attribute("data-screen", name, timeout=120_000)

    def on_screen(self, point: tuple[int, int]) -> tuple[float, float]:
        """Where a pixel of the picture is seen, CSS pixels."""
        box = self.page.locator("#picture").bounding_box()
        assert box is not None
        x, y = point
        width, height = self.picture_size
        return box["x"] + (x + 0.5) / width * box["width"], box["y"] + (y + 0.5) / height * box["height"]

    def tap(self, point: tuple[int, int]) -> None:
        x, y = self.on_screen(point)
        if self.touch:
            self.page.touchscreen.tap(x, y)
        else:
            self.page.mouse.click(x, y)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """From one pixel of the picture to another."""
        places = [self.on_screen(start), self.on_screen(end)]
        if not self.touch:
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            self.page.mouse.move(*places[1], steps=4)
            self.page.mouse.up()
            return
        finger = self.page.context.new_cdp_session(self.page)
        for kind, at in (("touchStart", places[:1]), ("touchMove", places[1:]), ("touchEnd", [])):
            points = [{"x": x, "y": y} for x, y in at]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def expect_preview(self, wanted: Callable[[dict[str, Any]], bool]) -> AbstractContextManager[Any]:
        """Inside the block the page asks for a preview of such a prompt; hovering asks for others."""
        return self.page.expect_request(
            lambda request: request.url.endswith("/preview") and wanted(request.post_data_json)
        )

    def press(self, button: str) -> None:
        """Press a button by its id."""
        target = self.page.locator(f"#{button}")
        if not self.touch:
            target.click()
            return
        # On a busy machine the end of a tap may come so late that the browser takes it for a long press.
        for _ in range(3):
            target.evaluate(
                "element => { window.isPressed = false;"
                " element.addEventListener('click', () => { window.isPressed = true; }, { once: true }); }"
            )
            target.tap()
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if self.page.evaluate("() => window.isPressed"):
                    return
        raise AssertionError(f"#{button} takes no taps")

    def fingers(self) -> Callable[..., None]:
        """A function that sends a touch event with the fingers' places, CSS pixels: any number at once."""
        session = self.page.context.new_cdp_session(self.page)

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        return touch

    def spread_two_fingers(self, touch: Callable[..., None]) -> None:
        """Two fingers around the disc, moved to three times their distance: nothing is selected by it."""
        x, y = self.on_screen(DISC)
        touch("touchStart", (x - 20, y))
        touch("touchStart", (x - 20, y), (x + 20, y))
        touch("touchMove", (x - 60, y), (x + 60, y))
        touch("touchEnd")
        expect(self.page.locator("#zoom-fit")).to_have_text("300%")
        self.expect_objects(0)

    def mark_both(self, picture: Path) -> None:
        """Mark the disc on the left and the square on the right, as objects 1 and 2."""
        self.open(picture)
        self.tap(DISC)
        self.expect_objects(1)
        self.press("another")
        self.tap(SQUARE)
        self.expect_objects(2)

    def expect_objects(self, count: int) -> None:
        """So many objects are listed, each with its mask found."""
        rows = self.page.locator("#objects > li[data-id]")
        expect(rows).to_have_count(count)
        for index in range(count):
            expect(rows.nth(index)).to_contain_text("% of the picture")

    def ink_at(self, point: tuple[int, int]) -> list[int]:
        """RGBA that the page has drawn over a pixel of the picture."""
        x, y = self.on_screen(point)
        colour: list[int] = self.page.evaluate(
            """([x, y]) => {
                const canvas = document.getElementById('overlay');
                const frame = canvas.getBoundingClientRect();
                const ratio = canvas.width / frame.width;
                const at = [(x - frame.left) * ratio, (y - frame.top) * ratio].map(Math.round);
                return [...canvas.getContext('2d').getImageData(...at, 1, 1).data];
            }""",
            [x, y],
        )
        return colour

    def expect_ink_at(self, point: tuple[int, int]) -> None:
        deadline = time.monotonic() + 30
        while self.ink_at(point)[3] == 0:
            assert time.monotonic() < deadline, f"nothing is drawn at {point}"
            self.page.wait_for_timeout(50)

    def job_id(self) -> str:
        fragment: str = self.page.evaluate("location.hash")
        return fragment.removeprefix("#job=")

    def save(self, selector: str, folder: Path) -> Path:
        """Press what starts a download, and give the file that came."""
        with self.page.expect_download() as started:
            self.page.locator(selector).first.click()
        path = folder / started.value.suggested_filename
        started.value.save_as(path)
        return path
