import json
from pathlib import Path

from benchmarks.report import Goal, Section, write_report


def _section() -> Section:
    section = Section("Waiting", ("server", "p50"), [("plain", 30.5), ("tapcut", 2.125)])
    section.goals = [Goal("times faster", 14.4, at_least=12), Goal("memory", 1.7, at_most=1.5)]
    section.values = {"plain": [30.5]}
    return section


def test_a_report_holds_the_table_the_goals_and_the_single_values(tmp_path: Path) -> None:
    path = write_report(tmp_path, "run", "Side by side", {"date": "today", "commit": "abc"}, [_section()])

    text = path.read_text()
    assert "- commit: abc" in text
    assert "| plain  | 30.5 |" in text and "| tapcut | 2.12 |" in text
    assert "met: times faster 14.4 (at least 12)" in text
    assert "MISSED: memory 1.70 (at most 1.5)" in text
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["sections"][0]["values"] == {"plain": [30.5]}
    assert [goal["is_met"] for goal in document["goals"]] == [True, False]
