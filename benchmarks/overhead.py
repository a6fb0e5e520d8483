"""Where a job's time goes: inside networks, in pixel work, or waiting for neither.

Owns the partition of a job's seconds by the spans in `result.json`, its table and its picture.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.customer import JobSeen, ready_at
from benchmarks.report import Goal, Section

NETWORKS = ("encode", "decode", "inpaint")
LARGEST_SHARE = 0.15
COLOURS = {"encode": "#3b6fb6", "decode": "#5b8fd6", "inpaint": "#274c80"}
OTHER, IDLE = "#e0a030", "#d0d0d0"


@dataclass(frozen=True, slots=True)
class Span:
    """A stage at work. Seconds from the tap."""

    stage: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One job's time, each moment counted once: `parts` add up to `seconds`."""

    seconds: float
    spans: tuple[Span, ...]
    parts: dict[str, float]

    @property
    def network_s(self) -> float:
        """Seconds in which a network ran for this job."""
        return sum(self.parts[stage] for stage in NETWORKS if stage in self.parts)

    @property
    def overhead_share(self) -> float:
        """What is not inside networks, as a share of the job."""
        return 1 - self.network_s / self.seconds


def anatomy_of(job: JobSeen) -> Anatomy:
    """The parts of a job that was fetched with `detail`, from the tap's sending to its commit."""
    told = job.result["seconds"]
    began = told["began_at"] - job.tapped_at
    seconds = ready_at(job) - job.tapped_at
    spans = tuple(
        Span(one["stage"], began + one["start"], began + one["start"] + one["seconds"])
        for one in told["spans"]
    )
    return Anatomy(seconds, spans, _parts(spans, began, seconds))


def _parts(spans: Sequence[Span], began: float, seconds: float) -> dict[str, float]:
    """Each moment goes to a network that runs in it, else to another stage, else to what is waited for."""
    moments = sorted({0.0, began, seconds, *(t for span in spans for t in (span.start, span.end))})
    last = max((span.end for span in spans), default=began)
    parts: dict[str, float] = {}
    for start, end in itertools.pairwise(moments):
        middle = (start + end) / 2
        if not 0 <= middle <= seconds:
            continue
        running = [span.stage for span in spans if span.start <= middle < span.end]
        name = next((stage for stage in NETWORKS if stage in running), running[0] if running else None)
        if name is None:
            name = (
                "accepting and queue"
                if middle < began
                else "result.json and commit"
                if middle > last
                else "between stages"
            )
        parts[name] = parts.get(name, 0.0) + end - start
    return parts


def overhead_section(jobs: Iterable[JobSeen], title: str) -> tuple[Section, Anatomy]:
    """The table of medians over jobs, and the job in the middle."""
    anatomies = sorted((anatomy_of(job) for job in jobs), key=lambda one: one.seconds)
    section = Section(title, ("part of the job", "median ms", "share"))
    total = statistics.median(one.seconds for one in anatomies)
    names = {name: None for one in anatomies for name in one.parts}
    order = sorted(names, key=lambda name: (name not in NETWORKS, name))
    for name in order:
        median = statistics.median(one.parts.get(name, 0.0) for one in anatomies)
        section.rows.append((name, 1000 * median, f"{median / total:.1%}"))
    section.rows.append(("job, tap to commit", 1000 * total, ""))
    share = statistics.median(one.overhead_share for one in anatomies)
    section.goals.append(Goal("outside networks, share of the job", share, at_most=LARGEST_SHARE))
    section.notes.append(
        "Each moment is counted once: for a network that runs in it, else for another stage, else for what "
        "is waited for. A network's seconds contain its pictures' way to and from the network's numbers."
    )
    section.values = {"jobs": [{"seconds": one.seconds, "parts": one.parts} for one in anatomies]}
    return section, anatomies[len(anatomies) // 2]


def draw(anatomy: Anatomy, title: str) -> str:
    """An SVG: one bar for each time that a stage worked, left to right as time went."""
    width, left, row = 900, 190, 26
    scale = (width - left - 20) / anatomy.seconds
    rows = [
        ("job", [(0.0, anatomy.seconds, IDLE)]),
        *(
            (stage, [(s.start, s.end, COLOURS.get(stage, OTHER)) for s in anatomy.spans if s.stage == stage])
            for stage in dict.fromkeys(span.stage for span in anatomy.spans)
        ),
    ]
    height = 60 + row * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="12" y="22" font-size="15">{escape(title)}</text>',
    ]
    for place, (name, bars) in enumerate(rows):
        y = 40 + row * place
        total = 1000 * sum(end - start for start, end, _ in bars)
        lines.append(f'<text x="12" y="{y + 14}">{escape(name)} · {total:.0f} ms</text>')
        for start, end, colour in bars:
            told = f"{escape(name)}: {1000 * start:.0f} to {1000 * end:.0f} ms"
            x, length = left + start * scale, max((end - start) * scale, 1.0)
            lines.append(
                f'<rect x="{x:.1f}" y="{y + 2}" width="{length:.1f}" height="{row - 8}" fill="{colour}" '
                f'fill-opacity="0.85"><title>{told}</title></rect>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"
