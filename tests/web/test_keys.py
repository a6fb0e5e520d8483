"""The page on a service that asks for keys, counts calls and has a queue that fills."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Request, expect

from settings import read_settings
from storage.redis_server import RedisServer, start_redis
from tests.web.conftest import DESKTOP
from tests.web.editor import DISC, Editor
from tests.web.keyed_service import KeyedService

KEY = "page-page-page-page-page"
OTHER_KEY = "other-other-other-other"


@pytest.fixture(scope="module")
def keyed_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with start_redis(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


@pytest.fixture
def serve(keyed_redis: RedisServer, tmp_path: Path) -> Iterator[Callable[..., KeyedService]]:
    running = []

    def start(**settings: object) -> KeyedService:
        args = {"API_KEYS": f"page={KEY}", "REDIS_URL": f"{keyed_redis.url}", "WORK_DIR": str(tmp_path)}
        service = KeyedService(read_settings({**args, **settings}))
        context = service.started()
        context.__enter__()
        running.append(context)
        return service

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def browser_context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**DESKTOP)
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page_of(browser_context: BrowserContext) -> Iterator[Callable[[KeyedService], Editor]]:
    """Open a tab of one and the same browser."""
    editors = []

    def open_tab(service: KeyedService) -> Editor:
        editors.append(Editor(browser_context.new_page(), service.url, touch=False))
        return editors[-1]

    yield open_tab
    for editor in editors:
        assert editor.page_errors == [] and editor.foreign_requests == []


def give_key(editor: Editor, key: str = KEY, *, remember: bool = False) -> None:
    field = editor.page.locator("#key-value")
    expect(field).to_be_visible()
    field.fill(key)
    if remember:
        editor.page.locator("#key-remember").check()
    field.press("Enter")


def stored(editor: Editor) -> tuple[str | None, str | None]:
    session, local = (
        editor.page.evaluate(f"{where}.getItem('tapcut.key')") for where in ("sessionStorage", "localStorage")
    )
    return session, local


def test_page_asks_for_the_key_once_and_every_call_carries_it(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path, tmp_path: Path
) -> None:
    editor = page_of(serve())
    calls: list[Request] = []
    editor.page.on("request", lambda request: calls.append(request))
    editor.visit()
    editor.expect_screen("empty")
    editor.choose(picture)
    give_key(editor, "wrong-wrong-wrong-wrong")
    expect(editor.page.locator("#key-title")).to_have_text("The server does not know this key")
    calls.clear()
    give_key(editor)
    editor.expect_screen("edit")
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.press("cut-out")
    editor.expect_screen("results")
    assert editor.save("#files .file a", tmp_path).stat().st_size > 1000
    zipped = editor.save("#result-actions .button:has-text('All as zip')", tmp_path)
    assert zipped.read_bytes()[:2] == b"PK"
    with editor.page.expect_response(lambda answer: "/cleanup/" in answer.url) as deleted:
        editor.press("start-over")
    assert deleted.value.ok

    kinds = ("/upload", "/preview", "/segment", "/events/", "/download/", "/cleanup/")
    for kind in kinds:
        sent = [call for call in calls if kind in call.url]
        assert sent, kind
        assert {call.headers.get("authorization") for call in sent} == {f"Bearer {KEY}"}, kind
    assert not [call.url for call in calls if KEY in call.url]
    assert stored(editor) == (KEY, None)
    assert KEY not in editor.page.content() and editor.page.locator("#key-value").input_value() == ""


def test_a_remembered_key_serves_other_tabs_until_it_is_forgotten(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    service = serve()
    first = page_of(service)
    first.visit()
    first.choose(picture)
    give_key(first, remember=True)
    first.expect_screen("edit")
    assert stored(first) == (None, KEY)

    second = page_of(service)
    second.visit(f"#job={first.job_id()}")
    second.expect_screen("edit")
    expect(second.page.locator("#models-name")).to_have_text("Bundled models")
    second.press("help-open")
    second.press("forget-key")
    assert stored(second) == (None, None)
    second.page.reload()
    expect(second.page.locator("#key-value")).to_be_visible()


def test_a_key_of_this_tab_survives_a_reload_and_stays_in_the_tab(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    service = serve()
    first = page_of(service)
    first.visit()
    first.choose(picture)
    give_key(first)
    first.expect_screen("edit")
    first.page.reload()
    first.expect_screen("edit")

    second = page_of(service)
    second.visit(f"#job={first.job_id()}")
    give_key(second)
    second.expect_screen("edit")


def test_a_key_that_was_replaced_is_asked_for_anew_and_the_call_repeated(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    service = serve()
    editor = page_of(service)
    editor.visit()
    editor.choose(picture)
    give_key(editor)
    editor.expect_screen("edit")
    # With an object at hand the pointer asks for nothing: only the second tap is refused, not the way to it.
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.page.evaluate(f"sessionStorage.setItem('tapcut.key', '{OTHER_KEY}')")
    editor.tap((DISC[0] + 20, DISC[1]))
    expect(editor.page.locator("#key-title")).to_have_text("The server does not know this key")
    with editor.page.expect_response(
        lambda answer: answer.url.endswith("/preview") and answer.ok
    ) as repeated:
        give_key(editor)
    assert len(repeated.value.request.post_data_json["points"]) == 2
    editor.expect_objects(1)


def test_without_a_key_the_page_says_so_and_offers_to_try_again(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    editor = page_of(serve())
    editor.visit()
    expect(editor.page.locator("#models-name")).to_have_text("Needs a key")
    editor.choose(picture)
    expect(editor.page.locator("#key-value")).to_be_visible()
    editor.page.keyboard.press("Escape")
    notice = editor.page.locator("#notice")
    expect(notice).to_contain_text("This server asks for a key")
    notice.get_by_role("button", name="Try again").click()
    give_key(editor)
    editor.expect_screen("edit")


def test_a_job_of_another_key_is_gone_for_the_page(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    service = serve(API_KEYS=f"page={KEY},other={OTHER_KEY}")
    first = page_of(service)
    first.visit()
    first.choose(picture)
    give_key(first)
    first.expect_screen("edit")
    second = page_of(service)
    second.visit(f"#job={first.job_id()}")
    give_key(second, OTHER_KEY)
    expect(second.page.locator("#notice")).to_contain_text("no longer on the server")


def test_page_waits_as_long_as_a_429_says_and_comes_through(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    editor = page_of(serve(RATE_PER_MINUTE=12, RATE_BURST=1))
    refused: list[tuple[str, float, int]] = []
    repeated: list[tuple[str, float]] = []

    def note_answer(answer: object) -> None:
        if answer.status == 429:
            path = answer.request.method + answer.url
            refused.append((path, time.monotonic(), int(answer.headers["retry-after"])))

    editor.page.on("response", note_answer)
    editor.page.on("request", lambda r: repeated.append((r.method + r.url, time.monotonic())))
    editor.visit()
    editor.choose(picture)
    give_key(editor)
    editor.expect_screen("edit")
    editor.tap(DISC)
    editor.expect_objects(1)
    editor.press("cut-out")
    expect(editor.page.locator("#progress-text")).to_contain_text("Too many requests at once. Trying again")
    editor.expect_screen("results")
    expect(editor.page.locator("#notice")).to_be_empty()
    assert any("/segment" in path for path, _, _ in refused)
    assert any("/download/" in path for path, _, _ in refused)
    # A tap is asked for at once, also where hovering over the same place has just been refused.
    for path, at, wait in (one for one in refused if "/preview" not in one[0]):
        later = [moment - at for same, moment in repeated if same == path and moment > at]
        assert later and later[0] >= wait - 0.1, (path, wait, later)


def test_page_waits_as_long_as_a_full_queue_says_and_comes_through(
    serve: Callable[..., KeyedService], page_of: Callable[..., Editor], picture: Path
) -> None:
    service = serve(MAX_QUEUED_JOBS=1)
    service.paused.set()
    editor = page_of(service)
    editor.visit()
    editor.choose(picture)
    give_key(editor)
    editor.expect_screen("edit")
    editor.tap(DISC)
    editor.expect_objects(1)
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {KEY}"}) as api:
        job_id = api.post("/upload", files={"file": ("a.png", picture.read_bytes())}).json()["job_id"]
        api.post(
            "/segment", params={"job_id": job_id}, json={"coordinates_list": [[9, 9]]}
        ).raise_for_status()
    with editor.page.expect_response("**/segment*") as answered:
        editor.press("cut-out")
    assert answered.value.status == 503
    named = int(answered.value.headers["retry-after"])
    asked = time.monotonic()
    expect(editor.page.locator("#progress-text")).to_contain_text("The server is busy. Trying again in")
    service.paused.clear()
    with editor.page.expect_response("**/segment*") as again:
        pass
    assert again.value.ok and time.monotonic() - asked >= named - 0.5
    editor.expect_screen("results")


def test_swagger_ui_works_under_its_policy(
    serve: Callable[..., KeyedService], browser_context: BrowserContext
) -> None:
    page = browser_context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{serve().url}/docs")
    expect(page.locator(".opblock")).to_have_count(11)
    page.locator(".btn.authorize").first.click()
    page.locator(".auth-container input").fill(KEY)
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".btn-done").click()
    metrics = page.locator("#operations-operations-metrics")
    metrics.locator(".opblock-summary").click()
    metrics.locator(".try-out__btn").click()
    with page.expect_response("**/metrics") as answered:
        metrics.locator(".execute").click()
    assert answered.value.status == 200
    assert errors == []


class BlankPage(SimpleHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>shop</p>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_origins() -> Iterator[list[str]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), BlankPage) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_page_of_a_configured_origin_fetches_a_result_and_others_cannot(
    serve: Callable[..., KeyedService],
    browser_context: BrowserContext,
    other_origins: list[str],
    picture: Path,
) -> None:
    shop, stranger = other_origins
    service = serve(CORS_ORIGINS=shop)
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {KEY}"}) as api:
        job_id = api.post("/upload", files={"file": ("a.png", picture.read_bytes())}).json()["job_id"]
    page = browser_context.new_page()
    script = f"""async () => {{
        const headers = {{ Authorization: 'Bearer {KEY}', Range: 'bytes=0-9' }};
        const url = '{service.url}/download/{job_id}/original.png';
        const answer = await fetch(url, {{ headers }}).catch(() => null);
        return answer && [answer.status, answer.headers.get('Content-Range'), (await answer.blob()).size];
    }}"""
    page.goto(f"{shop}/")
    status, content_range, size = page.evaluate(script)
    assert (status, size) == (206, 10) and content_range.startswith("bytes 0-9/")
    page.goto(f"{stranger}/")
    assert page.evaluate(script) is None
