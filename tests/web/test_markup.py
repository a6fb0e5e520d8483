"""What the files alone show: a strict policy holds, nothing comes from elsewhere, all has a name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from tests.web.editor import Editor

PAGE = Path(__file__).resolve().parents[2] / "clients" / "web"
HTML = (PAGE / "index.html").read_text("utf-8")
TEXTS = {path: path.read_text("utf-8") for path in PAGE.rglob("*") if path.is_file()}


class Tags(HTMLParser):
    """All start tags with their attributes, and the text inside script and style elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


def test_html_has_no_inline_script_style_or_handler() -> None:
    tags = Tags()
    assert tags.inline == []
    for tag, attributes in tags.found:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_html_names_only_files_that_exist() -> None:
    for tag, attributes in Tags().found:
        for name in ("src", "href"):
            value = attributes.get(name)
            if value and not value.startswith("#"):
                assert (PAGE / value.split("#")[0]).exists(), (tag, value)


def test_icons_that_are_used_exist() -> None:
    symbols = set(re.findall(r'<symbol id="([^"]+)"', TEXTS[PAGE / "icons.svg"]))
    used = set(re.findall(r"icons\.svg#([\w-]+)", HTML))
    for path, text in TEXTS.items():
        if path.suffix == ".js":
            used |= set(re.findall(r"icon\('([\w-]+)'\)", text))
    assert used and used <= symbols


def test_no_file_names_another_host() -> None:
    for path, text in TEXTS.items():
        hosts = [url for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text) if "www.w3.org" not in url]
        assert hosts == [], path
        assert "eval(" not in text, path


def test_every_control_has_a_name(desktop: Editor) -> None:
    desktop.visit()
    nameless = desktop.page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, [tabindex="0"]')]
            .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim()))
            .filter((e) => !['models', 'continue'].includes(e.id)) // named when they are shown
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_the_page_fits_a_narrow_phone(phone: Editor) -> None:
    phone.page.set_viewport_size({"width": 320, "height": 640})
    phone.visit()
    phone.expect_screen("empty")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 320
