"""What the page says when things go wrong. Answers that no healthy server gives are put in its mouth."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Error, Route, expect

from tests.web.editor import DISC, Editor


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> dict[str, object]:
    return {
        "status": status,
        "content_type": "application/problem+json",
        "headers": headers or {},
        "body": json.dumps({"type": "about:blank", "title": "Problem", "status": status, "detail": detail}),
    }


def square_mask(x: int, y: int) -> dict[str, object]:
    """A preview's answer: a square of 101 pixels whose first corner is (x, y)."""
    ring = [[x, y], [x + 100, y], [x + 100, y + 100], [x, y + 100]]
    return {"score": 0.9, "area": 10_201, "bbox": [x, y, x + 101, y + 101], "polygons": [ring]}


def test_a_file_that_is_no_picture_is_explained(desktop: Editor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture at all")
    desktop.visit()
    desktop.choose(broken)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("cannot be read as a picture")
    expect(notice).to_contain_text("JPEG, PNG and WebP")
    desktop.expect_screen("empty")


def test_a_busy_server_is_asked_again_after_the_time_it_names(desktop: Editor, picture: Path) -> None:
    answers = [problem(503, "Queue full", {"Retry-After": "2"})]

    def answer(route: Route) -> None:
        if answers:
            route.fulfill(**answers.pop())
        else:
            route.continue_()

    desktop.page.route("**/upload", answer)
    desktop.visit()
    desktop.choose(picture)
    expect(desktop.page.locator("#progress-text")).to_contain_text("Trying again in 2 s")
    desktop.expect_screen("edit")
    assert answers == []


def test_a_deleted_job_leads_back_to_the_start(desktop: Editor) -> None:
    desktop.visit("#job=" + "0" * 32)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("no longer on the server")
    notice.get_by_role("button", name="Open a picture").click()
    desktop.expect_screen("empty")
    assert desktop.job_id() == ""


def test_a_picture_that_is_too_large_is_explained(desktop: Editor, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    noise = np.random.default_rng(3).integers(0, 256, (1000, 1000, 3), np.uint8)
    Image.fromarray(noise).save(large)
    assert large.stat().st_size > 2_000_000
    desktop.visit()
    desktop.choose(large)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("2 MB")
    expect(notice.get_by_role("button", name="Try again")).to_have_count(0)
    desktop.expect_screen("empty")


def test_a_job_that_expires_while_one_selects_leads_back_to_the_start(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    assert httpx.delete(f"{desktop.service_url}/cleanup/{desktop.job_id()}").status_code == 200
    desktop.tap(DISC)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("no longer on the server")
    notice.get_by_role("button", name="Open a picture").click()
    desktop.expect_screen("empty")


def test_without_events_the_status_is_asked_for(desktop: Editor, picture: Path) -> None:
    desktop.page.route("**/events/*", lambda route: route.abort())
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    with desktop.page.expect_request("**/status/*"):
        desktop.press("cut-out")
    desktop.expect_screen("results")


def test_a_lost_connection_is_said_and_what_was_tapped_is_asked_again(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.page.context.set_offline(True)
    desktop.tap(DISC)
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("You are offline")
    desktop.page.context.set_offline(False)
    desktop.expect_objects(1)
    expect(notice).to_be_empty()


def test_a_failed_job_is_explained_and_the_selection_kept(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    failed = {
        "job_id": desktop.job_id(),
        "status": "error",
        "progress": 30,
        "stage": "segmenting",
        "error": "Segmentation failed for object 0: mask too small",
    }
    event = f"event: status\ndata: {json.dumps(failed)}\n\n"
    desktop.page.route("**/segment*", lambda route: route.fulfill(json={"status": "processing"}))
    desktop.page.route(
        "**/events/*", lambda route: route.fulfill(content_type="text/event-stream", body=event)
    )
    desktop.press("remove")
    desktop.expect_screen("edit")
    notice = desktop.page.locator("#notice")
    expect(notice).to_contain_text("Segmentation failed for object 1: mask too small")
    expect(notice).to_contain_text("closer to the middle")
    desktop.expect_objects(1)


def test_only_the_newest_tap_is_drawn_when_answers_come_late(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if route.request.post_data_json["points"] == [[100, 100]]:
            held.append(route)
        else:
            route.fulfill(json=square_mask(150, 170))

    desktop.page.route("**/preview", hold_the_first)
    desktop.tap((100, 100))
    expect(desktop.page.locator("#hint")).to_have_text("Looking…")
    desktop.page.keyboard.press("Control+z")
    desktop.tap(DISC)
    assert held
    for route in held:
        route.fulfill(json=square_mask(450, 180))
    desktop.expect_objects(1)
    assert desktop.ink_at((500, 230))[3] == 0
    assert desktop.ink_at((DISC[0] + 30, DISC[1]))[3] > 0


def test_results_that_come_late_do_not_come_up_over_the_next_picture(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    held: list[Route] = []
    desktop.page.route("**/download/*/full_inpainted*", lambda route: held.append(route))
    with desktop.page.expect_request("**/download/*/full_inpainted*"):
        desktop.press("remove")
    desktop.press("start-over")
    desktop.expect_screen("empty")
    desktop.choose(picture)
    desktop.expect_screen("edit")
    for route in held:
        with contextlib.suppress(Error):  # the page may have given it up
            route.continue_()
    desktop.tap(DISC)
    desktop.expect_objects(1)
    desktop.expect_screen("edit")


def test_each_tab_comes_back_to_its_own_selection(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    second = Editor(desktop.page.context.new_page(), desktop.service_url, touch=False)
    second.open(picture)
    desktop.page.bring_to_front()
    desktop.page.reload()
    desktop.expect_objects(1)


def test_a_picture_that_is_left_while_it_comes_back_leaves_no_job(desktop: Editor, picture: Path) -> None:
    desktop.visit()
    desktop.page.route("**/download/*/original.png", lambda route: None)
    with (
        desktop.page.expect_response("**/upload") as uploaded,
        desktop.page.expect_request("**/download/*/original.png"),
    ):
        desktop.choose(picture)
    job_id = uploaded.value.json()["job_id"]
    with desktop.page.expect_response(f"**/cleanup/{job_id}") as deleted:
        desktop.press("cancel-upload")
    assert deleted.value.ok
    desktop.expect_screen("empty")
    assert httpx.get(f"{desktop.service_url}/status/{job_id}").status_code == 404


def test_the_next_picture_of_the_same_size_is_seen_whole(desktop: Editor, picture: Path) -> None:
    desktop.open(picture)
    desktop.press("zoom-in")
    expect(desktop.page.locator("#zoom-fit")).to_have_text("150%")
    desktop.press("start-over")
    desktop.expect_screen("empty")
    desktop.choose(picture)
    desktop.expect_screen("edit")
    expect(desktop.page.locator("#zoom-fit")).to_have_text("100%")
