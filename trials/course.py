"""The course of a long run: samples over time, how fast each grows, and whether that is flat.

Owns the fitting, the CSV and the figure; knows nothing of how the samples were made.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Growth:
    """A robust line through a series: `level` at the window's start, `change` from there to its end."""

    level: float
    change: float

    @property
    def share(self) -> float:
        """Change as a fraction of the level."""
        return self.change / self.level if self.level else 0.0

    def flat(self, share: float, amount: float) -> bool:
        """Whether it grows by less than `share` of its level, or by less than `amount`."""
        return self.change <= max(share * self.level, amount)


@dataclass
class Course:
    """Values by series and time. A series' name is its unit, then what it is of."""

    series: dict[tuple[str, str], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, unit: str, name: str, at_s: float, value: float) -> None:
        """One value, `at_s` seconds after the beginning."""
        self.series[unit, name].append((at_s, value))

    def growth(self, unit: str, name: str, start_s: float) -> Growth | None:
        """Growth from `start_s` to the end (Theil-Sen: half of the samples may be outliers).

        None when the series does not span the window, as that of a process that was replaced.
        """
        points = np.array([point for point in self.series[unit, name] if point[0] >= start_s])
        last = max(values[-1][0] for values in self.series.values())
        if len(points) < 4 or points[0, 0] > start_s + 0.2 * (last - start_s):
            return None
        if points[-1, 0] < last - 0.2 * (last - start_s):
            return None
        times, values = points[:, 0], points[:, 1]
        later, earlier = np.triu_indices(len(times), k=1)[::-1]
        slope = float(np.median((values[later] - values[earlier]) / (times[later] - times[earlier])))
        middle = float(np.median(values - slope * times))
        return Growth(level=middle + slope * start_s, change=slope * (last - start_s))

    def write_csv(self, path: Path) -> None:
        """All values, one a row."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "unit", "name", "value"))
            for (unit, name), points in self.series.items():
                writer.writerows((f"{at:.1f}", unit, name, f"{value:g}") for at, value in points)

    def write_svg(self, path: Path, unit: str, title: str, start_s: float) -> None:
        """The series of one unit as lines over minutes; a dashed line where the window begins."""
        names = sorted(name for series_unit, name in self.series if series_unit == unit)
        width, height, left, top, legend = 900, 420, 60, 40, 230
        last = max(points[-1][0] for points in self.series.values()) or 1.0
        highest = max((value for name in names for _, value in self.series[unit, name]), default=1.0) or 1.0

        def x(at_s: float) -> float:
            return left + (width - left - legend) * at_s / last

        def y(value: float) -> float:
            return top + (height - top - 40) * (1 - value / highest)

        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="{left}" y="22" font-size="15">{title}</text>',
        ]
        for part in range(5):
            value, at, below = highest * part / 4, last * part / 4, height - 18
            lines += [
                f'<path d="M{left} {y(value):.1f}H{width - legend}" stroke="#ddd"/>',
                f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>',
                f'<text x="{x(at):.1f}" y="{below}" text-anchor="middle">{at / 60:.1f}</text>',
            ]
        lines.append(f'<text x="{width - legend + 10}" y="{height - 18}">minutes</text>')
        lines.append(
            f'<path d="M{x(start_s):.1f} {top}V{height - 40}" stroke="#888" stroke-dasharray="4 4"/>'
        )
        for index, name in enumerate(names):
            colour = f"hsl({index * 360 // max(1, len(names))} 65% 42%)"
            path_of = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in self.series[unit, name])
            lines += [
                f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
                f'<text x="{width - legend + 10}" y="{top + 14 + 16 * index}" fill="{colour}">{name}</text>',
            ]
        path.write_text("\n".join([*lines, "</svg>"]) + "\n")
