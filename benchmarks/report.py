"""Tables of a benchmark's run, on the terminal and as files.

Owns the layout of `benchmarks/results/*.md` and `*.json`. Knows nothing of what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and the bound that it is held to."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bound holds."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{'met' if self.is_met else 'MISSED'}: {self.name} {shown(self.value)} ({bound})"


@dataclass(slots=True)
class Section:
    """One table with its goals, its notes, and the single values it was made of."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)  # for the JSON file only

    def lines(self) -> list[str]:
        """As Markdown that can also be read on a terminal."""
        cells = [list(self.columns), *([shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.columns))]

        def line(row: Sequence[str]) -> str:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            return f"| {' | '.join(padded)} |"

        lines = [f"## {self.title}", "", line(cells[0]), line(["-" * width for width in widths])]
        lines += [line(row) for row in cells[1:]]
        if self.goals:
            lines += ["", *(f"- {goal}" for goal in self.goals)]
        return [*lines, *(f"\n{note}" for note in self.notes), ""]


def shown(cell: Cell) -> str:
    """A figure with three digits that mean something."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2 if abs(cell) >= 1 else 3
        return f"{cell:,.{digits}f}"
    return str(cell)


def write_report(
    folder: Path, name: str, title: str, facts: dict[str, Any], sections: Sequence[Section]
) -> Path:
    """Write `name.md` and `name.json` into `folder`; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# {title}", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    for section in sections:
        lines += ["", *section.lines()]
    (folder / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n")
    goals = [{**asdict(goal), "is_met": goal.is_met} for section in sections for goal in section.goals]
    document = {**facts, "goals": goals, "sections": [asdict(section) for section in sections]}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    return folder / f"{name}.md"
