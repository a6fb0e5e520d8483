"""The page through a restart of the whole service, as `make serve` is ended by Ctrl-C and started again."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import DESKTOP
from tests.web.editor import DISC, Editor
from trials.service import free_port, running_service


@pytest.mark.timeout(600)
def test_the_page_waits_for_a_restarted_service_and_shows_the_results_of_its_job(
    chromium: Browser, picture: Path, tmp_path: Path
) -> None:
    settings = {"PORT": str(free_port()), "WORK_DIR": str(tmp_path / "jobs")}
    with ExitStack() as first, ExitStack() as second:
        service = first.enter_context(running_service(settings))
        context = chromium.new_context(**DESKTOP)
        second.callback(context.close)
        context.set_default_timeout(120_000)
        editor = Editor(context.new_page(), service.url, touch=False)
        loads: list[str] = []
        editor.page.on("load", lambda page: loads.append(page.url))
        editor.open(picture)
        editor.tap(DISC)
        editor.expect_objects(1)
        # So much before it that the page's own job still waits when the service ends.
        upload = {"file": ("a.png", picture.read_bytes())}
        taps = [[40 + 40 * i, 40 + 30 * i] for i in range(12)]
        before = []
        with httpx.Client(base_url=service.url, timeout=60) as api:
            for _ in range(3):
                before.append(api.post("/upload", files=upload).json()["job_id"])
                accepted = api.post(f"/segment?job_id={before[-1]}", json={"coordinates_list": taps})
                assert accepted.status_code == 200
        editor.press("remove")
        expect(editor.page.locator("#progress-text")).to_have_text(re.compile("before you|Next in the queue"))
        first.close()
        expect(editor.page.locator("#progress-title")).to_have_text("Waiting for the server")

        second.enter_context(running_service(settings))
        for job_id in before:
            httpx.delete(f"{service.url}/cleanup/{job_id}", timeout=60)
        editor.expect_screen("results")
        expect(editor.page.locator("#compare")).to_be_visible()
        expect(editor.page.locator("#notice")).to_be_empty()
        assert len(loads) == 1
        assert editor.page_errors == []
