"""The report of a run: one HTML page with the verdict, the figure and the tables.

Owns the page. `python -m load_tests.report FOLDER` makes it again from the records;
`--figure docs/load.webp` draws the figure alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np

from load_tests.day import Persona
from load_tests.figure import draw, save
from load_tests.limits import Verdict, judge
from load_tests.records import CHECK, FELT, LEAVING, Row
from load_tests.run import Run, percentile, read_run

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22303c; max-width: 1200px; margin: 2rem auto }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #e3e8ec }
th:first-child, td:first-child, .words td, .words th { text-align: left }
th { font-weight: 600; color: #5c6770; font-size: .85rem }
.kept { color: #1f7a4d } .broken { color: #b3261e; font-weight: 600 }
.verdict { font-size: 1.1rem; margin: .3rem 0 1rem } .facts { color: #5c6770 }
svg { width: 100%; height: auto }
"""

_KEPT, _BROKEN = '<span class="kept">kept</span>', '<span class="broken">BROKEN</span>'


def write_report(run: Run, verdicts: Sequence[Verdict], folder: Path, command: str) -> Path:
    """Write `index.html` and `figure.svg` into the run's folder; answers the page's path."""
    save(draw(run, _title(run)), folder / "figure.svg")
    drawing = (folder / "figure.svg").read_text()
    drawing = drawing[drawing.index("<svg") :]
    broken = [verdict for verdict in verdicts if not verdict.kept]
    word = (
        f'<span class="broken">{len(broken)} of {len(verdicts)} limits broken</span>'
        if broken
        else f'<span class="kept">All {len(verdicts)} limits kept</span>'
    )
    parts = [
        f"<h1>{escape(_title(run))}</h1>",
        f'<p class="verdict">{word}</p>',
        f'<p class="facts">{escape(_facts(run, command))}</p>',
        drawing,
        "<h2>Limits</h2>",
        _table(
            ("limit", "measured", "allowed", ""),
            [(one.name, one.measured, one.allowed, _KEPT if one.kept else _BROKEN) for one in verdicts],
            words=True,
            plain=3,
        ),
        "<h2>What users felt, seconds</h2>",
        _table(("persona, wait", "times", "p50", "p95", "p99", "longest"), _felt(run)),
        "<h2>HTTP requests, milliseconds</h2>",
        _table(("request", "number", "failed", "p50", "p95", "p99", "longest"), _requests(run)),
        "<h2>Stages</h2>",
        _table(
            (
                "stage",
                "replicas, least to most",
                "most that ran",
                "mean",
                "cores, mean",
                "cores, most",
                "MiB, most",
            ),
            _stages(run),
        ),
        '<p>Raw: <a href="requests.csv">requests.csv</a>, <a href="users.csv">users.csv</a>, '
        '<a href="samples.json">samples.json</a>, <a href="serve_config.yaml">serve_config.yaml</a>; '
        '<a href="locust.html">Locust\'s own report</a></p>',
    ]
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(_title(run))}</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )
    return page


def _title(run: Run) -> str:
    day_s = max(span.end for span in run.phases if span.name != LEAVING)
    minutes, seconds = divmod(round(day_s), 60)
    return f"A day of users in {minutes} min {seconds} s"


def _facts(run: Run, command: str) -> str:
    machine = run.taken.machine
    sampler = np.mean([one.cpu.get("sampler", 0.0) for one in run.taken.samples])
    load = np.mean([one.cpu.get("load", 0.0) for one in run.taken.samples])
    service = np.mean([_service_cpu(run, index) for index in range(len(run.taken.samples))])
    others = np.mean([one.cpu.get("machine", 0.0) for one in run.taken.samples]) - sampler - load - service
    stolen = np.mean([one.cpu.get("stolen", 0.0) for one in run.taken.samples])
    return (
        f"{command}; {datetime.fromtimestamp(run.began, UTC):%Y-%m-%d %H:%M} UTC; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, load average {machine['load_before']:.1f} "
        f"when the sampling began; commit {machine.get('commit') or 'unknown'}. Of the machine's cores "
        f"the service took {service:.2f} on average, Locust {load:.2f}, the sampler {sampler:.3f}, "
        f"all else {others:.2f}; the host gave {stolen:.2f} to others."
    )


def _service_cpu(run: Run, index: int) -> float:
    sample = run.taken.samples[index]
    stages = sum(stage.cpu or 0.0 for stage in sample.stages.values())
    return stages + sample.cpu.get("ray", 0.0) + sample.cpu.get("redis", 0.0)


def _felt(run: Run) -> Iterable[Sequence[str]]:
    whats = sorted({row.name for row in run.rows if row.kind == FELT})
    for persona in Persona:
        for what in whats:
            rows = run.felt(persona, what)
            if rows:
                yield f"{persona.value}, {what}", f"{len(rows)}", *_percentiles(rows, 1.0, 2)


def _requests(run: Run) -> Iterable[Sequence[str]]:
    requests = [row for row in run.rows if row.kind not in (FELT, CHECK)]
    for kind, name in sorted({(row.kind, row.name) for row in requests}):
        rows = [row for row in requests if (row.kind, row.name) == (kind, name)]
        failed = sum(bool(row.error) for row in rows)
        yield f"{kind} {name}", f"{len(rows)}", f"{failed}", *_percentiles(rows, 1000.0, 0)


def _percentiles(rows: Sequence[Row], factor: float, digits: int) -> list[str]:
    return [f"{factor * percentile(rows, percent):.{digits}f}" for percent in (50, 95, 99, 100)]


def _stages(run: Run) -> Iterable[Sequence[str]]:
    for name, (least, most) in run.taken.replicas.items():
        _, running = run.stage(name, lambda one: one.running)
        _, cpu = run.stage(name, lambda one: one.cpu or 0.0)
        _, rss = run.stage(name, lambda one: one.rss_mib or 0.0)
        yield (
            *(name, f"{least} to {most}", f"{running.max()}", f"{running.mean():.2f}"),
            *(f"{cpu.mean():.2f}", f"{cpu.max():.2f}", f"{rss.max():.0f}"),
        )


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False, plain: int = -1
) -> str:
    """An HTML table; the cells of column `plain` are HTML already."""
    cells = "".join(
        "<tr>"
        + "".join(f"<td>{cell if i == plain else escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    heading = "".join(f"<th>{escape(head)}</th>" for head in heads)
    return f"<table{' class=words' if words else ''}><tr>{heading}</tr>{cells}</table>"


def main() -> int:
    """Make a report again. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.report")
    parser.add_argument("folder", type=Path, help="of an earlier run")
    parser.add_argument("--figure", type=Path, help="draw the figure alone, into this file")
    parser.add_argument("--part-of-day", action="store_true", help="do not ask whether stages grew")
    options = parser.parse_args()
    run = read_run(options.folder)
    if options.figure is not None:
        save(draw(run, _title(run)), options.figure)
        return 0
    verdicts = judge(run, whole_day=not options.part_of_day)
    print(write_report(run, verdicts, options.folder, command="make load"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
