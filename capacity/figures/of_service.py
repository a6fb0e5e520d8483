"""Pictures of the service on this machine: measured beside simulated, and where its time goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from capacity.figures.style import BLUE, FAINT, GREY, INK, ORANGE, PAPER, PARTS, RED, STYLE, Told, save, width
from capacity.jobs import Visit


def draw_validation(told: Told, path: Path) -> None:
    """Each load's throughput, median and p95: measured with its interval, predicted beside it."""
    loads = told["loads"]
    rows = range(len(loads))[::-1]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, 3, figsize=(11, 0.42 * len(loads) + 1.9), sharey=True, layout="constrained"
        )
        panels = (("throughput", "Jobs a second"), ("p50", "Median, s"), ("p95", "95th percentile, s"))
        for ax, (name, title) in zip(axes, panels, strict=True):
            for row, load in zip(rows, loads, strict=True):
                _pair(ax, row, load["measured"][name], load["predicted"][name], load["errors"][name])
            ax.set_title(title)
            ax.set_xlim(left=0)
            ax.grid(axis="y", visible=False)
            ax.margins(x=0.22)
            ax.set_ylim(-0.7, len(loads) - 0.3)
            ax.tick_params(length=0)
        axes[0].set_yticks(list(rows), [load["load"] for load in loads])
        axes[0].plot([], [], "o", color=BLUE, label="measured, 95 % interval")
        axes[0].plot([], [], "D", color=ORANGE, label="simulated")
        axes[0].plot([], [], "-", color=RED, linewidth=2.5, label="off by more than 20 %")
        figure.legend(loc="outside lower right", ncols=3)
        save(figure, path)


def _pair(ax: Axes, row: int, measured: Told, predicted: Told, error: float) -> None:
    value, other = measured["value"], predicted["value"]
    within = abs(error) <= 0.2
    ax.plot(
        [value, other],
        [row, row],
        color=GREY if within else RED,
        linewidth=2.5,
        solid_capstyle="round",
        zorder=2,
    )
    ax.errorbar(
        value,
        row,
        xerr=width(measured),
        color=BLUE,
        fmt="o",
        markersize=7,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    ax.plot(other, row, "D", color=ORANGE, markersize=5.5, zorder=4)
    ax.annotate(
        f"{error:+.0%}",
        (max(value + width(measured), other), row),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=FAINT if within else RED,
    )


def draw_knee(curve: Sequence[Told], loads: Sequence[Told], path: Path) -> None:
    """Throughput, waiting and busy stages against the number of users: lines simulated, dots measured."""
    seen = [load for load in loads if load["users"] and load["objects"] == 1]
    users = [point["users"] for point in curve]
    with plt.rc_context(STYLE):
        figure, (left, right, stages) = plt.subplots(1, 3, figsize=(12.5, 3.7), layout="constrained")
        rate = [60 * point["throughput"] for point in curve]
        left.plot(users, rate, color=ORANGE, linewidth=2.2, label="simulated")
        left.errorbar(
            [load["users"] for load in seen],
            [60 * load["measured"]["throughput"]["value"] for load in seen],
            yerr=[60 * width(load["measured"]["throughput"]) for load in seen],
            fmt="o",
            color=BLUE,
            capsize=2.5,
            label="measured",
        )
        left.set_title("Jobs a minute")
        left.legend(loc="lower right")
        for name, colour, label in (("p95", RED, "p95"), ("p50", ORANGE, "median")):
            right.plot(users, [point[name] for point in curve], color=colour, linewidth=2.2, label=label)
            right.errorbar(
                [load["users"] for load in seen],
                [load["measured"][name]["value"] for load in seen],
                yerr=[width(load["measured"][name]) for load in seen],
                fmt="o",
                color=colour,
                markeredgecolor=PAPER,
                capsize=2.5,
            )
        right.set_title("Tap to ready, s")
        right.legend(loc="upper left")
        for stage, colour in PARTS.items():
            if stage in curve[0]["stages"]:
                shares = [point["stages"][stage] for point in curve]
                stages.plot(users, shares, color=colour, linewidth=2, label=stage)
        cores = [point["cores"] for point in curve]
        stages.plot(users, cores, color=INK, linewidth=2, linestyle=(0, (4, 2)), label="cores")
        stages.set_title("Busy share")
        stages.yaxis.set_major_formatter(PercentFormatter(1.0))
        stages.legend(fontsize=8, loc="center right")
        for ax in (left, right, stages):
            ax.set_xlabel("users who come again, one object each")
            ax.set_ylim(bottom=0)
            ax.set_xlim(0, max(users) + 0.5)
        save(figure, path)


def draw_parts(parts: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Core-seconds of an upload with its job, by process, for one and three objects."""
    kinds = {
        "one object": ("upload for 1", "job of 1"),
        "three objects": ("upload for 3", "job of 3"),
    }
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(11, 2.7), layout="constrained")
        for row, phases in enumerate(kinds.values()):
            start = 0.0
            for part, colour in PARTS.items():
                value = sum(parts[phase].get(part, 0.0) for phase in phases)
                ax.barh(row, value, left=start, color=colour, height=0.62, label=part if row == 0 else None)
                if value > 0.045 * _longest(parts, kinds):
                    dark = colour in ("#274c80", "#3b6fb6", "#c0492f", "#3c8f6a", "#8a6bb0")
                    ax.text(
                        start + value / 2,
                        row,
                        f"{value:.2f}",
                        ha="center",
                        va="center",
                        fontsize=8.5,
                        color="white" if dark else INK,
                    )
                start += value
            ax.text(start, row, f"  {start:.2f} s", va="center", fontweight="bold")
        ax.set_yticks(range(len(kinds)), list(kinds))
        ax.invert_yaxis()
        ax.set_title("Core-seconds of a visit, by process")
        ax.grid(axis="y", visible=False)
        ax.margins(x=0.08)
        ax.tick_params(length=0)
        figure.legend(loc="outside lower center", ncols=6, fontsize=8.5)
        save(figure, path)


def draw_service_times(visits: Mapping[int, Sequence[Visit]], path: Path) -> None:
    """Each measured run of each stage: core-seconds, and the median."""
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(11, 3.6), layout="constrained")
        rows = list(_runs(()))
        for lift, (objects, seen) in zip((-0.17, 0.17), sorted(visits.items()), strict=False):
            colour = BLUE if objects == 1 else ORANGE
            for row, values in enumerate(_runs(seen).values()):
                ax.plot(
                    values, [row + lift] * len(values), "o", color=colour, alpha=0.35, markersize=6, mew=0
                )
                if values:
                    ax.plot(median(values), row + lift, "|", color=colour, markersize=15, mew=2.5)
            ax.plot([], [], "o", color=colour, label=f"{objects} object{'s' if objects > 1 else ''}")
        ax.set_yticks(range(len(rows)), rows)
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1000 * value:g} ms"))
        ax.set_title("Core-seconds of each run of a stage (dots), and the median (bars)")
        ax.tick_params(length=0)
        ax.legend(loc="lower right")
        save(figure, path)


def _runs(visits: Sequence[Visit]) -> dict[str, list[float]]:
    return {
        "intake of an upload": [visit.intake.core_s for visit in visits],
        "encode a picture": [visit.encode.core_s for visit in visits],
        "decode a job": [visit.decode.core_s for visit in visits],
        "refine a job": [visit.refine.core_s for visit in visits],
        "LaMa, a square": [fill.work.core_s for visit in visits for fill in visit.fills],
        "cut out an object": [work.core_s for visit in visits for work in visit.cut_outs],
        "compose a picture": [one.work.core_s for visit in visits for one in visit.removals],
        "hops, HTTP, store, together": [
            sum(
                work.core_s
                for work in (
                    *(visit.accept, visit.pick_up, visit.to_decoder),
                    *(visit.to_refiner, visit.to_writers, visit.finish),
                )
            )
            for visit in visits
        ],
    }


def _longest(parts: Mapping[str, Mapping[str, float]], kinds: Mapping[str, tuple[str, str]]) -> float:
    return max(
        sum(parts[phase].get(part, 0.0) for phase in phases for part in PARTS) for phases in kinds.values()
    )
