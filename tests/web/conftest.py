"""A real Chromium on the page that the real service serves."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.web.editor import DISC, SQUARE, Editor  # noqa: E402
from tests.web.still_life.picture import still_life as render_still_life  # noqa: E402

SCREENSHOTS = Path(__file__).resolve().parents[2] / "test-artifacts" / "page"
AXE_COUNTS = pytest.StashKey[Counter[str]]()

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[AXE_COUNTS] = Counter()


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Where the tests run in several processes, this one tells the one that reports.
    told: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["axe"] = dict(session.config.stash[AXE_COUNTS])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[AXE_COUNTS].update(getattr(node, "workeroutput", {}).get("axe", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    counts = config.stash[AXE_COUNTS]
    if counts["screens"]:
        found = ", ".join(
            f"{counts[impact]} {impact}" for impact in ("critical", "serious", "moderate", "minor")
        )
        terminalreporter.write_line(f"page: axe on {counts['screens']} screens: {found}")
        terminalreporter.write_line(f"page: screenshots in {SCREENSHOTS}")


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[playwright_api.Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on the PATH: install the package chromium, or set CHROMIUM")
    with playwright_api.sync_playwright() as playwright:
        fonts = {**os.environ, "FONTCONFIG_FILE": str(Path(__file__).with_name("fonts.conf"))}
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, env=fonts)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red disc and a blue square on a textured wall, 640 x 480."""
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    wall = 190 + 20 * np.sin(x / 90) + 14 * np.cos(y / 70)
    pixels = np.stack([wall, wall - 6, wall - 22], axis=-1)
    pixels += np.random.default_rng(7).normal(0, 4, pixels.shape)
    cx, cy = DISC
    pixels[(x - cx) ** 2 + (y - cy) ** 2 < 92**2] = (200, 40, 36)
    cx, cy = SQUARE
    pixels[(abs(x - cx) < 70) & (abs(y - cy) < 70)] = (30, 60, 190)
    path = tmp_path_factory.mktemp("page") / "two shapes.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def still_life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fruit on a table, 1024 x 768, rendered."""
    path = tmp_path_factory.mktemp("page") / "still life.png"
    Image.fromarray(render_still_life()).save(path)
    return path


def _editor(
    chromium: playwright_api.Browser, service_url: str, options: dict[str, object]
) -> Iterator[Editor]:
    context = chromium.new_context(**options)
    context.set_default_timeout(60_000)
    editor = Editor(context.new_page(), service_url, touch=bool(options.get("has_touch")))
    yield editor
    context.close()
    assert editor.page_errors == []
    assert editor.foreign_requests == []


@pytest.fixture
def desktop(chromium: playwright_api.Browser, service_url: str) -> Iterator[Editor]:
    yield from _editor(chromium, service_url, DESKTOP)


@pytest.fixture
def phone(chromium: playwright_api.Browser, service_url: str) -> Iterator[Editor]:
    yield from _editor(chromium, service_url, PHONE)


@pytest.fixture(params=["pointer", "touch"])
def editor(request: pytest.FixtureRequest) -> Editor:
    """The page on a desktop with a mouse, and on a phone with fingers."""
    fixture: Editor = request.getfixturevalue("desktop" if request.param == "pointer" else "phone")
    return fixture


@pytest.fixture(scope="module")
def script(chromium: playwright_api.Browser, service_url: str) -> Iterator[Any]:
    """Run a function body with one module of the page as `m`."""
    page = chromium.new_page()
    page.goto(f"{service_url}/app/")

    def run(module: str, body: str) -> Any:
        return page.evaluate(f"async () => {{ const m = await import('./js/{module}'); {body} }}")

    yield run
    page.close()
