"""The page through a restart of the whole service, as `make serve` is ended by Ctrl-C and started again."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.web.editor import DISC, Editor
from trials.service import LaunchedService


@pytest.mark.timeout(600)
def test_the_page_waits_for_a_restarted_service_and_shows_the_results_of_its_job(
    desktop: Editor, service: LaunchedService, picture: Path
) -> None:
    loads: list[str] = []
    desktop.page.on("load", lambda page: loads.append(page.url))
    desktop.open(picture)
    desktop.tap(DISC)
    desktop.expect_objects(1)
    # So much before it that the page's own job still waits when the service ends.
    upload = {"file": ("a.png", picture.read_bytes())}
    taps = [[40 + 70 * i, 40 + 50 * i] for i in range(8)]
    before = []
    with httpx.Client(base_url=service.url, timeout=60) as api:
        for _ in range(4):
            before.append(api.post("/upload", files=upload).json()["job_id"])
            accepted = api.post(f"/segment?job_id={before[-1]}", json={"coordinates_list": taps})
            assert accepted.status_code == 200
    desktop.press("remove")
    expect(desktop.page.locator("#progress-text")).to_have_text(re.compile("before you|Next in the queue"))
    try:
        service.stop()
        expect(desktop.page.locator("#progress-title")).to_have_text("Waiting for the server")
    finally:
        service.start_again()
    for job_id in before:
        httpx.delete(f"{service.url}/cleanup/{job_id}", timeout=60)
    desktop.expect_screen("results")
    expect(desktop.page.locator("#compare")).to_be_visible()
    expect(desktop.page.locator("#notice")).to_be_empty()
    assert len(loads) == 1
    assert desktop.page_errors == []
