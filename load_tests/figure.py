"""The figure of a run: one day in aligned panels, one line of time below all.

Owns the drawing and its colours: a stage and a persona have the same colour in every panel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from load_tests.day import Persona
from load_tests.records import ANSWERED, DOWNLOADED, PREVIEW, READY, Row
from load_tests.run import Run, percentile

STAGES = {
    "PhotoIntake": "#3b6fb6",
    "ImageEncoder": "#2a9d8f",
    "PromptDecoder": "#7fb069",
    "MaskRefiner": "#c9a227",
    "LamaInpainter": "#d1495b",
    "ResultComposer": "#8e5ea2",
    "JobRunner": "#5c6770",
}
BATCHES = {"encode": "ImageEncoder", "decode": "PromptDecoder", "inpaint": "LamaInpainter"}
PERSONAS = {
    Persona.FIRST_TAP: "#17406d",
    Persona.RETAP: "#4f9bd9",
    Persona.CANCELLER: "#9aa5ad",
    Persona.SLOW_POLLER: "#b8860b",
    Persona.THREE_OBJECTS: "#d1495b",
    Persona.BATCH_IMPORT: "#3b6fb6",
    Persona.EXTRACT_ONLY: "#8e5ea2",
}
PHASES = {
    "night": "#e9ecf3",
    "morning": "#fdf6e3",
    "noon": "#fdebe3",
    "afternoon": "#e8f1fa",
    "evening": "#f1eaf6",
    "late": "#e9ecf3",
}
OTHERS = {"Ingress": "#6f8797", "ray": "#a3adb5", "redis": "#9c6b3f", "load": "#c2a878", "sampler": "#4a4f54"}
INK, FAINT = "#22303c", "#8a939b"
WIDTH, DPI = 12.0, 100


def draw(run: Run, title: str) -> Figure:
    """All panels. 1200 px wide at 100 dpi."""
    heights = (1.3, 1.0, 1.7, 1.7, 1.5, 3.4, 1.0, 1.0, 1.7)
    figure = Figure(figsize=(WIDTH, sum(heights) + 2.6), dpi=DPI, facecolor="white")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0.32)
    top = 1 - 0.95 / figure.get_figheight()
    grid.update(left=0.075, right=0.845, top=top, bottom=0.45 / figure.get_figheight())
    panels = [figure.add_subplot(grid[row, 0]) for row in range(len(heights))]
    last_s = run.ended
    for panel in panels:
        _prepare(panel, run, last_s)
    draws: Sequence[Callable[[Axes, Run], None]] = (
        _users,
        _requests,
        lambda axes, one: _waits(
            axes, one, READY, (Persona.THREE_OBJECTS, Persona.BATCH_IMPORT, Persona.EXTRACT_ONLY)
        ),
        lambda axes, one: _waits(axes, one, READY, (Persona.FIRST_TAP, Persona.RETAP, Persona.SLOW_POLLER)),
        _answers,
        _replicas,
        _batches,
        _queue,
        _cpu,
    )
    for panel, fill in zip(panels, draws, strict=True):
        fill(panel, run)
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    panels[-1].set_xlabel("minutes since the day began", color=INK, fontsize=9)
    for span in run.phases:
        if span.end - span.start > 0.06 * last_s:
            middle = (span.start + span.end) / 120
            place = panels[0].get_xaxis_transform()
            panels[0].text(
                *(middle, 1.30),
                span.name,
                transform=place,
                ha="center",
                fontsize=11,
                weight="bold",
                color=INK,
            )
    figure.text(0.075, 1 - 0.34 / figure.get_figheight(), title, fontsize=14, weight="bold", color=INK)
    return figure


def _prepare(axes: Axes, run: Run, last_s: float) -> None:
    for span in run.phases:
        axes.axvspan(span.start / 60, span.end / 60, color=PHASES.get(span.name, "white"), lw=0, zorder=0)
    axes.set_xlim(0, last_s / 60)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(labelsize=8, colors=INK, length=2, width=0.5)
    axes.grid(axis="y", color="white", lw=0.9)
    axes.set_axisbelow(True)


def _name(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, color=INK, weight="bold", pad=4)


def _key(axes: Axes, entries: Sequence[tuple[str, str]], step: float = 0.0) -> None:
    """Names in their colours at the right of a panel, from its top down."""
    step = step or 0.155 / (axes.get_position().height * _figure_height(axes))
    for row, (text, colour) in enumerate(entries):
        axes.text(
            *(1.012, 1.0 - row * step), text, transform=axes.transAxes, color=colour, fontsize=8.5, va="top"
        )


def _figure_height(axes: Axes) -> float:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return float(figure.get_figheight())


def _stack(axes: Axes, minutes: np.ndarray, layers: Sequence[tuple[str, np.ndarray, str]]) -> None:
    base = np.zeros_like(minutes)
    for _, values, colour in layers:
        axes.fill_between(minutes, base, base + values, color=colour, lw=0, step="post")
        base = base + values


def _users(axes: Axes, run: Run) -> None:
    _name(axes, "Users by persona")
    minutes = np.array([(crowd.at - run.began) / 60 for crowd in run.crowds])
    layers = [
        (one.value, np.array([crowd.users.get(one.value, 0) for crowd in run.crowds], float), colour)
        for one, colour in PERSONAS.items()
    ]
    _stack(axes, minutes, layers)
    axes.set_ylim(0, None)
    _key(axes, [(name, colour) for name, _, colour in reversed(layers)])


def _requests(axes: Axes, run: Run) -> None:
    _name(axes, "HTTP requests a second")
    width = 5.0
    edges = np.arange(0, run.ended + width, width)
    rows = [row for row in run.rows if row.status]
    for chosen, colour, label in (
        ([row for row in rows if not row.refused], INK, "answered"),
        ([row for row in rows if row.refused], STAGES["LamaInpainter"], "refused, Retry-After"),
    ):
        counts, _ = np.histogram([row.at - run.began for row in chosen], edges)
        axes.stairs(counts / width, edges / 60, color=colour, fill=label != "answered", lw=1.4, label=label)
    axes.set_ylim(0, None)
    refused = sum(row.refused for row in rows)
    _key(
        axes, [(f"answered {len(rows) - refused:,}", INK), (f"refused {refused:,}", STAGES["LamaInpainter"])]
    )


def _windows(run: Run, rows: Sequence[Row], percents: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles in a sliding window: minutes, and [percents, windows] in seconds; nan where it is empty."""
    width = max(10.0, run.ended / 16)
    centres = np.arange(width / 4, run.ended, width / 8)
    values = np.full((len(percents), len(centres)), np.nan)
    for column, centre in enumerate(centres):
        near = [row for row in rows if abs(row.at - run.began - centre) < width / 2]
        if len(near) >= 3:
            values[:, column] = [percentile(near, percent) for percent in percents]
    return centres / 60, values


def _curves(axes: Axes, run: Run, rows: Sequence[Row], colour: str) -> None:
    minutes, (p50, p95, p99) = _windows(run, rows, (50, 95, 99))
    axes.scatter(
        [(row.at - run.began) / 60 for row in rows],
        [row.ms / 1000 for row in rows],
        s=5,
        color=colour,
        alpha=0.28,
        lw=0,
        zorder=2,
    )
    axes.plot(minutes, p50, color=colour, lw=2.2, zorder=4)
    axes.plot(minutes, p95, color=colour, lw=1.2, zorder=4)
    axes.plot(minutes, p99, color=colour, lw=0.9, ls=(0, (1.5, 1.5)), zorder=3)


def _log_seconds(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yscale("log")
    values = [row.ms / 1000 for row in rows] or [0.1, 1.0]
    axes.set_ylim(min(values) / 1.3, max(values) * 1.3)
    ticks = [
        tick
        for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
        if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]
    ]
    axes.set_yticks(ticks, [f"{tick:g} s" for tick in ticks])
    axes.minorticks_off()


def _waits(axes: Axes, run: Run, what: str, personas: Sequence[Persona]) -> None:
    _name(axes, f"{what.capitalize()}: p50 bold, p95 thin, p99 dotted, every job a dot")
    shown, keys = [], []
    for persona in personas:
        rows = run.felt(persona, what)
        if not rows:
            continue
        shown += rows
        _curves(axes, run, rows, PERSONAS[persona])
        keys += _told(persona.value, rows, PERSONAS[persona])
    _log_seconds(axes, shown)
    _key(axes, keys)


def _told(name: str, rows: Sequence[Row], colour: str) -> list[tuple[str, str]]:
    figures = " / ".join(f"{percentile(rows, percent):.1f}" for percent in (50, 95, 99))
    return [(name, colour), (f"  {figures} s, {len(rows)}", colour)]


def _answers(axes: Axes, run: Run) -> None:
    _name(axes, "Other waits, all personas: p50 bold, p95 thin, p99 dotted")
    shown, keys = [], []
    for what, colour in ((PREVIEW, "#4f9bd9"), (ANSWERED, "#2a9d8f"), (DOWNLOADED, "#a0785a")):
        rows = [row for persona in Persona for row in run.felt(persona, what)]
        if rows:
            shown += rows
            _curves(axes, run, rows, colour)
            keys += _told(what, rows, colour)
    _log_seconds(axes, shown)
    _key(axes, keys)


def _replicas(axes: Axes, run: Run) -> None:
    _name(axes, "Replicas of each stage: running filled, wanted as a line")
    base, ticks, names = 0.0, [], []
    for stage, colour in reversed(STAGES.items()):
        least, most = run.taken.replicas[stage]
        seconds, running = run.stage(stage, lambda one: one.running)
        _, target = run.stage(stage, lambda one: one.target)
        minutes = seconds / 60
        axes.fill_between(minutes, base, base + running, step="post", color=colour, alpha=0.85, lw=0)
        axes.step(minutes, base + target, where="post", color=INK, lw=0.9)
        for count in range(1, most):
            axes.plot(axes.get_xlim(), (base + count,) * 2, color="white", lw=0.6)
        peak = int(running.max())
        axes.text(
            *(1.012, base + 0.5),
            f"{stage}  {least}–{most}" if most > least else f"{stage}  {least}",
            transform=axes.get_yaxis_transform(),
            color=colour,
            fontsize=9,
            weight="bold",
            va="center",
        )
        ticks += [base, base + peak]
        names += ["0", str(peak)]
        base += most + 0.7
    axes.set_ylim(0, base - 0.4)
    axes.grid(visible=False)
    axes.set_yticks(ticks, names)


def _batches(axes: Axes, run: Run) -> None:
    _name(axes, "Calls that shared a batch, mean")
    keys = []
    for stage, deployment in BATCHES.items():
        seconds, means = run.batch_sizes(stage, window_s=max(6.0, run.ended / 60))
        axes.plot(seconds / 60, means, color=STAGES[deployment], lw=1.4, marker=".", ms=3)
        if len(means):
            keys.append((f"{stage}  {means.mean():.2f}, at most {means.max():.2f}", STAGES[deployment]))
    axes.set_ylim(0.9, None)
    _key(axes, keys)


def _queue(axes: Axes, run: Run) -> None:
    _name(axes, "Jobs: waiting in the queue, and in a runner's hands")
    seconds, waiting = run.series(lambda sample: sample.waiting)
    _, running = run.series(lambda sample: sample.running)
    axes.fill_between(seconds / 60, 0, waiting, step="post", color=STAGES["JobRunner"], alpha=0.75, lw=0)
    axes.step(seconds / 60, running, where="post", color=INK, lw=1.2)
    axes.set_ylim(0, None)
    _key(
        axes,
        [
            (f"waiting, {int(waiting.max())} at most", STAGES["JobRunner"]),
            (f"in hand, {int(running.max())} at most", INK),
        ],
    )


def _cpu(axes: Axes, run: Run) -> None:
    _name(axes, "Cores in use by stage; line: the whole machine")
    seconds, machine = run.series(lambda sample: sample.cpu.get("machine", 0.0))
    layers = [
        (name, run.stage(name, lambda one: one.cpu or 0.0)[1], colour)
        for name, colour in {**STAGES, "Ingress": OTHERS["Ingress"]}.items()
    ]
    layers += [
        (_WHO[name], run.series(lambda sample, name=name: sample.cpu.get(name, 0.0))[1], OTHERS[name])  # type: ignore[misc]
        for name in _WHO
    ]
    _stack(axes, seconds / 60, layers)
    axes.step(seconds / 60, machine, where="post", color=INK, lw=1.0)
    axes.set_ylim(0, max(float(machine.max()), float(run.taken.machine.get("cores") or 1)) * 1.05)
    shown = sorted(layers, key=lambda layer: -layer[1].mean())[:9]
    _key(axes, [(f"{name}  {values.mean():.2f}", colour) for name, values, colour in shown])


_WHO: Mapping[str, str] = {"ray": "Ray itself", "redis": "Redis", "load": "Locust", "sampler": "sampler"}


def save(figure: Figure, path: Path) -> None:
    """Write it in the format of the path's suffix (.svg, .png, .webp)."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tapcut"}):  # letters stay letters
        figure.savefig(path, facecolor="white")
