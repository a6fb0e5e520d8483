"""Every relative link of the pages leads somewhere, to the heading if it names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("clients/*/README.md")), *sorted(ROOT.glob("docs/*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)|<img[^>]*\bsrc=\"([^\"]+)\"|<source[^>]*\bsrcset=\"([^\"]+)\"")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def links_of(text: str) -> list[str]:
    found = _LINK.findall(_CODE.sub("", text))
    return [link for groups in found for link in groups if link and not re.match(r"[a-z]+:", link)]


def anchors_of(text: str) -> set[str]:
    """Anchors that GitHub makes of the headings."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 1
        while (name := anchor if number == 1 else f"{anchor}-{number - 1}") in anchors:
            number += 1
        anchors.add(name)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_the_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links_of(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target.read_text())):
            broken.append(link)
    assert not broken


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {
        (ROOT / link.partition("#")[0]).resolve() for link in links_of((ROOT / "README.md").read_text())
    }
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_link_to_a_heading_that_is_not_there_is_noticed() -> None:
    assert anchors_of("# One, two\n## A `code`\n## A `code`") == {"one-two", "a-code", "a-code-1"}
    assert links_of("[x](a.md#b) `[y](z.md)` [z](https://example.com)") == ["a.md#b"]
