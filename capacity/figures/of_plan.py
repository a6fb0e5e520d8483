"""Pictures of the plan for clusters: what gives way first, waiting, and what a million jobs cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from capacity.figures.style import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PARTS, RED, STYLE, Told, save, width

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
            widths = [width(point["outcome"][name]) for point in points]
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


def _swing_name(name: str, told: Told) -> str:
    if name == "headroom":
        return "use of hardware, 50 / 90 %"
    return UNITS[name].format(told["assumed"].get(name, told["prices"].get(name)))
