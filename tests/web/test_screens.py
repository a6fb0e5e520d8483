"""Every screen as it is seen, light and dark, by eyes (screenshots are kept) and by axe."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.web.conftest import AXE_COUNTS, SCREENSHOTS
from tests.web.editor import Editor
from tests.web.screens import walk

IMPACTS = ("critical", "serious", "moderate", "minor")


def violations(editor: Editor) -> list[dict[str, Any]]:
    """What axe-core objects to on the page as it is. Injected by the debugger: the page's policy stays on."""
    if not editor.page.evaluate("'axe' in window"):
        editor.page.evaluate(AXE_SCRIPT)
    found: list[dict[str, Any]] = editor.page.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then((results) => results.violations)"
    )
    return found


def test_no_screen_has_anything_that_axe_objects_to(
    editor: Editor, still_life: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    device = "phone" if editor.touch else "desktop"
    counts = request.config.stash[AXE_COUNTS]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    objections: list[str] = []
    for screen in walk(editor, still_life, tmp_path):
        for scheme in ("light", "dark"):
            editor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            editor.page.screenshot(path=SCREENSHOTS / f"{device}-{scheme}-{screen}.png")
            counts["screens"] += 1
            for violation in violations(editor):
                counts[violation["impact"]] += 1
                places = [node["html"][:160] for node in violation["nodes"]]
                objections.append(
                    f"{device} {scheme} {screen}: {violation['impact']} {violation['id']} {places}"
                )
        editor.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert not objections, "\n".join(objections)


def test_axe_does_object_where_there_is_reason(desktop: Editor) -> None:
    desktop.visit()
    desktop.expect_screen("empty")
    desktop.page.evaluate(
        """() => {
            const button = document.createElement('button');
            button.append(document.querySelector('.art').cloneNode());
            document.querySelector('.choices').append(button);
        }"""
    )
    assert Counter(found["impact"] for found in violations(desktop)) == {"critical": 1}
