"""The page while the server goes away and comes back: it says so, waits, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from settings import Settings, read_settings
from storage.redis_server import start_redis
from tests.web.conftest import DESKTOP
from tests.web.editor import DISC, Editor
from tests.web.keyed_service import KeyedService


class Restarting:
    """A service that can be ended and started again on its port, with its jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = 0
        self._life: AbstractContextManager[KeyedService] | None = None
        self.url = ""

    def start(self, *, paused: bool = False) -> None:
        service = KeyedService(self._settings, self._port)
        if paused:
            service.paused.set()
        self._life = service.started()
        self._life.__enter__()
        self.url = service.url
        self._port = int(service.url.rsplit(":", 1)[1])

    def end(self) -> None:
        if self._life is not None:
            life, self._life = self._life, None
            life.__exit__(None, None, None)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_redis(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server.url


@pytest.fixture
def restarting(redis_url: str, tmp_path: Path) -> Iterator[Restarting]:
    service = Restarting(read_settings({"REDIS_URL": redis_url, "WORK_DIR": str(tmp_path / "jobs")}))
    yield service
    service.end()


@pytest.fixture
def editor(chromium: Browser, restarting: Restarting) -> Iterator[Editor]:
    restarting.start(paused=True)
    context = chromium.new_context(**DESKTOP)
    context.set_default_timeout(30_000)
    editor = Editor(context.new_page(), restarting.url, touch=False)
    yield editor
    context.close()
    assert editor.page_errors == [] and editor.foreign_requests == []


def test_a_job_outlives_a_restart_of_the_server_and_the_page_comes_back_to_it(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    loads: list[str] = []
    editor.page.on("load", lambda page: loads.append(page.url))
    editor.open(picture)
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.press("cut-out")
    expect(editor.page.locator("#progress-text")).to_have_text("Next in the queue")
    job_id = editor.job_id()

    restarting.end()
    expect(editor.page.locator("#progress-title")).to_have_text("Waiting for the server")
    expect(editor.page.locator("#progress-text")).to_contain_text("reconnects by itself")
    restarting.start()

    editor.expect_screen("results")
    expect(editor.page.locator("#cutouts img")).to_have_count(1)
    expect(editor.page.locator("#notice")).to_be_empty()
    assert editor.job_id() == job_id and len(loads) == 1


def test_what_is_tapped_while_the_server_is_away_is_outlined_when_it_is_back(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    editor.open(picture)
    restarting.end()
    editor.tap(DISC)
    notice = editor.page.locator("#notice")
    expect(notice).to_contain_text(
        "The server cannot be reached. This page keeps trying and goes on by itself"
    )
    expect(editor.page.locator("#models-name")).to_have_text("No connection")
    restarting.start()
    editor.expect_objects(1)
    expect(notice).to_be_empty()
    expect(editor.page.locator("#models-name")).to_have_text("Bundled models")


def test_a_run_begun_while_the_server_is_away_begins_when_it_is_back(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    editor.open(picture)
    editor.tap(DISC)
    editor.expect_objects(1)
    restarting.end()
    editor.press("remove")
    expect(editor.page.locator("#progress-text")).to_contain_text("The server does not answer. Trying again")
    restarting.start()
    editor.expect_screen("results")


def test_a_proxy_that_answers_while_the_server_starts_is_not_taken_for_it(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    editor.open(picture)
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.press("remove")
    expect(editor.page.locator("#progress-text")).to_have_text("Next in the queue")
    asked: list[str] = []

    def not_found(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404, content_type="text/plain", body="Path '/status' not found.")

    editor.page.route("**/status/*", not_found)
    restarting.end()
    expect(editor.page.locator("#progress-title")).to_have_text("Waiting for the server")
    restarting.start()
    with editor.page.expect_response("**/status/*"):
        pass
    editor.expect_screen("processing")
    assert asked
    editor.page.unroute("**/status/*")
    editor.expect_screen("results")


def test_a_run_is_cancelled_and_its_selection_kept(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    editor.mark_both(picture)
    job_id = editor.job_id()
    editor.press("remove")
    expect(editor.page.locator("#progress-text")).to_contain_text("Next in the queue")
    with editor.page.expect_response(lambda answer: f"/cleanup/{job_id}" in answer.url) as deleted:
        editor.press("cancel-run")
    assert deleted.value.ok
    editor.expect_screen("edit")
    editor.expect_objects(2)
    assert editor.job_id() not in ("", job_id)

    restarting.end()
    restarting.start()
    editor.press("cut-out")
    editor.expect_screen("results")
    expect(editor.page.locator("#files .file")).not_to_have_count(0)


def test_without_the_network_a_run_waits_and_says_why(
    editor: Editor, restarting: Restarting, picture: Path
) -> None:
    editor.open(picture)
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.page.context.set_offline(True)
    editor.press("remove")
    expect(editor.page.locator("#progress-text")).to_contain_text("You are offline. Trying again")
    restarting.end()
    restarting.start()
    editor.page.context.set_offline(False)
    editor.expect_screen("results")
