"""The pictures of docs/capacity.md, drawn from the files in `capacity/results/`.

Owns colours and layout. Text is drawn as outlines, so that a picture looks the same everywhere; the same
figures give the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from capacity.jobs import Visit

PAPER, INK, FAINT, GRID = "#f7f7f4", "#2b2f36", "#7b818a", "#dcdcd6"
BLUE, ORANGE, RED, GREEN, GREY = "#3b6fb6", "#d98a1f", "#c0492f", "#3c8f6a", "#a9aeb5"
PARTS = {
    "LamaInpainter": "#274c80",
    "ImageEncoder": "#3b6fb6",
    "PromptDecoder": "#7fa3d6",
    "ResultComposer": "#d98a1f",
    "MaskRefiner": "#e8b65a",
    "PhotoIntake": "#f2d79b",
    "Ingress": "#3c8f6a",
    "HTTP proxy": "#7cbf9f",
    "JobRunner": "#8a6bb0",
    "Redis": "#c0492f",
    "Ray": "#8d929a",
    "controller": "#bfc3c8",
}
STYLE: Any = {  # typed by Matplotlib as a dictionary of several hundred literal names
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.1,
    "svg.hashsalt": "capacity",
    "svg.fonttype": "path",
}
Told = Mapping[str, Any]


def save(figure: Figure, path: Path) -> None:
    """As SVG without a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


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
        xerr=_width(measured),
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
        (max(value + _width(measured), other), row),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=FAINT if within else RED,
    )


def _width(figure: Told) -> float:
    half = float(figure["half_width"])
    return half if half == half else 0.0


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
            yerr=[60 * _width(load["measured"]["throughput"]) for load in seen],
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
                yerr=[_width(load["measured"][name]) for load in seen],
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


def draw_bottlenecks(plans: Sequence[Told], path: Path, most: int = 9) -> None:
    """What each resource of one cell bears at each size, against what the GPUs bear."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(plans), figsize=(12.5, 0.33 * most + 1.5), layout="constrained")
        for ax, plan in zip(axes, plans, strict=True):
            limits = [limit for limit in plan["limits"] if limit["resource"] != "GPUs"][:most]
            target = plan["jobs_s"]
            for row, limit in enumerate(limits):
                value = limit["jobs_s"]
                colour = RED if row == 0 and value < target else ORANGE if value < target else GREEN
                ax.barh(row, value, color=colour, height=0.6)
                ax.text(value * 1.12, row, f"{_short(value)}", va="center", fontsize=8, color=FAINT)
            ax.axvline(target, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
            ax.set_yticks(range(len(limits)), [_wrapped(limit["resource"]) for limit in limits], fontsize=7.5)
            ax.invert_yaxis()
            ax.set_xscale("log")
            ax.set_xlim(max(1.0, 10 ** int(len(str(int(limits[0]["jobs_s"]))) - 2)), 30 * target)
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
            ax.set_title(f"{plan['gpus']:,} GPUs: {_short(target)} jobs/s")
            ax.grid(axis="y", visible=False)
            ax.tick_params(length=0)
            ax.minorticks_off()
        figure.supxlabel(
            "jobs a second that one cell bears with serve_config.yaml as it is; dashed: what the GPUs bear",
            fontsize=9,
            color=FAINT,
        )
        save(figure, path)


def _wrapped(text: str) -> str:
    return text.replace(", ", ",\n").replace(" of one ", "\nof one ") if len(text) > 26 else text


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"


def draw_cluster_knee(points: Sequence[Told], gpus: int, path: Path) -> None:
    """Waiting on a simulated cluster against its load, and how full batches are."""
    shares = [point["share"] for point in points]
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
        for name, colour, label in (("p95", RED, "p95"), ("p50", ORANGE, "median")):
            values = [point["outcome"][name]["value"] for point in points]
            widths = [_width(point["outcome"][name]) for point in points]
            left.plot(shares, values, "o-", color=colour, markersize=4, linewidth=2, label=label)
            left.fill_between(
                shares,
                [value - width for value, width in zip(values, widths, strict=True)],
                [value + width for value, width in zip(values, widths, strict=True)],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        left.set_title(f"Tap to ready on {gpus} GPUs, s (simulated)")
        left.set_ylim(bottom=0)
        left.legend(loc="upper left")
        for stage in ("LamaInpainter", "ImageEncoder", "PromptDecoder"):
            batches = [point["mean_batch"].get(stage, float("nan")) for point in points]
            right.plot(shares, batches, "o-", color=PARTS[stage], markersize=4, linewidth=2, label=stage)
        right.set_title("Mean batch")
        right.set_ylim(bottom=0)
        right.legend(loc="upper left")
        for ax in (left, right):
            ax.xaxis.set_major_formatter(PercentFormatter(1.0))
            ax.set_xlabel("of the jobs that the GPUs bear at full batches")
        save(figure, path)


def draw_cost(told: Told, path: Path) -> None:
    """Cost of a million jobs by what it is for, and with half and twice of each figure."""
    cost = told["cost"]
    total = sum(cost.values())
    colours = (PARTS["LamaInpainter"], ORANGE, RED, GREY, "#8a6bb0", GREEN)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(12, 4.3), width_ratios=(1, 1.4), layout="constrained"
        )
        for row, (value, colour) in enumerate(zip(cost.values(), colours, strict=True)):
            left.barh(row, value, color=colour, height=0.6)
            left.text(value, row, f"  {value:,.2f}", va="center", fontsize=8.5)
        left.set_yticks(range(len(cost)), [_wrapped(name) for name in cost])
        left.invert_yaxis()
        left.set_title(f"A million jobs: ${total:,.0f}")
        left.margins(x=0.22)
        left.grid(axis="y", visible=False)
        left.tick_params(length=0)
        swings = {_swing_name(name, told): ends for name, ends in told["swings"].items()}
        _tornado(right, swings, total, "The same, $, if a figure is half or twice")
        save(figure, path)


def draw_gpu_sensitivity(told: Told, path: Path) -> None:
    """Jobs a second of one GPU, and the cores that it then keeps busy, if an assumption is half or twice."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(12, 2.9), layout="constrained")
        titles = {
            "jobs_s": "Jobs a second that one GPU bears",
            "cores": "Cores that one GPU keeps busy",
        }
        for ax, (name, title) in zip(axes, titles.items(), strict=True):
            found = told["gpu_swings"][name]
            swings = {_swing_name(key, told): ends for key, ends in found["swings"].items()}
            _tornado(ax, swings, found["value"], title)
        save(figure, path)


def _tornado(ax: Axes, swings: Mapping[str, Sequence[float]], middle: float, title: str) -> None:
    rows = sorted(swings.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    for row, (_, (low, high)) in enumerate(rows):
        ax.barh(row, low - middle, left=middle, color=BLUE, height=0.55, label="half" if not row else None)
        ax.barh(
            row, high - middle, left=middle, color=ORANGE, height=0.55, label="twice" if not row else None
        )
    ax.axvline(middle, color=INK, linewidth=1)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8.5)
    ax.set_title(title)
    ax.grid(axis="y", visible=False)
    ax.tick_params(length=0)
    ax.legend(loc="lower right", fontsize=8.5)


UNITS = {
    "lama_ms": "LaMa, {:.3g} ms a square",
    "encoder_ms": "encoder, {:.2g} ms a picture",
    "decoder_ms": "decoder, {:.2g} ms a prompt",
    "lama_host_ms": "core beside LaMa, {:.3g} ms",
    "encoder_host_ms": "core beside the encoder, {:.3g} ms",
    "three_objects": "jobs with three objects, {:.0%}",
    "polls": "polls, {:.3g} a job",
    "gpu_hour": "GPU, ${:.2f} an hour",
    "core_hour": "core, ${:.3g} an hour",
    "egress_gb": "bytes out, ${:.2g} a GB",
    "file_put": "file put, ${:.1e}",
    "cores_included": "cores with a GPU, {:.3g}",
}


def _swing_name(name: str, told: Told) -> str:
    if name == "headroom":
        return "use of hardware, 50 / 90 %"
    return UNITS[name].format(told["assumed"].get(name, told["prices"].get(name)))
