"""docs/capacity.md says what the files in capacity/results/ say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.report import ALTERNATIVES, PAGE, PICTURES, drawn_of, filled, sections_of
from capacity.validate import RESULTS


def figure(value: float) -> dict[str, float]:
    return {"value": value, "half_width": 0.1}


def load(name: str, predicted: float) -> dict[str, object]:
    outcome = {key: figure(1.0) for key in ("throughput", "p50", "p95")}
    return {
        "load": name,
        "measured": {**outcome, "jobs": 20},
        "predicted": {key: figure(predicted) for key in outcome} | {"jobs": 20},
        "errors": {key: predicted - 1.0 for key in outcome},
        "measured_core_share": 0.5,
        "predicted_core_share": 0.6,
        "legs": [{"pace": 0.95}, {"pace": 1.05}],
        "foreign_cores": 0.0,
        "failed": [],
    }


def test_page_says_what_the_results_say() -> None:
    page = PAGE.read_text()
    assert filled(page, sections_of(RESULTS)) == page, "run python -m capacity.report"


def test_pictures_of_the_results_are_in_the_page_and_small() -> None:
    page = PAGE.read_text()
    for name in drawn_of(RESULTS):
        assert f"](capacity/{name}.svg)" in page
        assert 1_000 < (PICTURES / f"{name}.svg").stat().st_size < 200_000, name


def test_every_section_has_its_place_in_the_page() -> None:
    page = PAGE.read_text()
    for name in ALTERNATIVES:
        assert f"<!-- figures: picture of {name} -->" in page
    for name in ("validation", "parts", "full-size parts", "curves", "traffic", "demand", "plan", "options"):
        assert f"<!-- figures: {name} -->" in page


def test_misses_are_counted_and_bold(tmp_path: Path) -> None:
    facts = {
        "date": "today",
        "machine": "2 cores",
        "load average at start": "0",
        "commit": "abc",
        "seconds of a load": 24,
        "rounds": 2,
        "replications": 20,
    }
    told = {**facts, "loads": [load("good", 1.1), load("bad", 1.3)]}
    (tmp_path / "validation.json").write_text(json.dumps(told))
    text = sections_of(tmp_path)["validation"]
    assert "2 of 4 figures" in text
    assert "**1.00 → 1.30, +30%**" in text and "**1.00 → 1.10" not in text


def test_section_without_a_place_in_the_page_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for"):
        filled("a page", {"validation": "a table"})


def test_sections_are_replaced_and_the_rest_of_the_page_stays() -> None:
    page = "above\n<!-- figures: plan -->\nold\n<!-- end of figures -->\nbelow\n"
    once = filled(page, {"plan": "new"})
    assert "old" not in once and once.startswith("above\n") and once.endswith("below\n")
    assert filled(once, {"plan": "new"}) == once
