"""The tables of docs/capacity.md, as Markdown.

Owns which figures are shown and with how many digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from capacity.arrivals import DAY
from capacity.figures.style import PARTS
from capacity.service_times import ServiceTimes

Told = Mapping[str, Any]


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def validation_lines(told: Told) -> str:
    """Predicted against measured."""
    rows = []
    for load in told["loads"]:
        cells = [load["load"], f"{load['measured']['jobs']:.0f}"]
        for name in ("throughput", "p50", "p95"):
            measured, predicted = load["measured"][name]["value"], load["predicted"][name]["value"]
            error = load["errors"][name]
            shown = f"{measured:.2f} → {predicted:.2f}, {error:+.0%}"
            cells.append(f"**{shown}**" if abs(error) > 0.2 else shown)
        cells.append(f"{load['measured_core_share']:.0%} → {load['predicted_core_share']:.0%}")
        cells.append(" ".join(f"{leg['pace']:.2f}" for leg in load["legs"]))
        cells.append(f"{load['foreign_cores']:.2f}")
        rows.append(cells)
    goals = [abs(load["errors"][name]) <= 0.2 for load in told["loads"] for name in ("throughput", "p95")]
    failed = sum(len(load["failed"]) for load in told["loads"])
    columns = ("load", "jobs", "jobs/s", "p50, s", "p95, s", "cores in use", "pace", "cores that others used")
    return "\n".join(
        [
            f"{told['date']}, {told['machine']}, load average at the start {told['load average at start']}, "
            f"commit {told['commit']}. Loads of users {told['rounds']} times {told['seconds of a load']:g} "
            f"s, of visitors twice as long, in turn; {told['replications']} simulations of each; measured → "
            f"simulated. **{sum(goals)} of "
            f"{len(goals)} figures (throughput and p95) are within 20 %**; {failed} visits failed.",
            "",
            table(columns, rows),
        ]
    )


def parts_lines(times: ServiceTimes) -> str:
    """Core-seconds by process."""
    parts = [part for part in PARTS if any(part in phase for phase in times.parts.values())]
    rows = [
        [
            part,
            *(f"{1000 * times.parts[phase].get(part, 0.0):.0f}" for phase in _PHASES),
            f"{_poll(times, part):.1f}",
        ]
        for part in parts
    ]
    total = [
        f"**{1000 * sum(times.parts[phase].get(part, 0.0) for part in parts):.0f}**" for phase in _PHASES
    ]
    rows.append(["**together**", *total, f"**{sum(_poll(times, part) for part in parts):.1f}**"])
    columns = ("core-milliseconds", "upload", "job, one object", "job, three objects", "one poll")
    return "\n".join(
        [
            f"{times.facts['date']}, {times.facts['machine']}, "
            f"{times.facts.get('networks', 'bundled')} networks. "
            f"The idle service uses {times.background_cores:.2f} cores; others used "
            f"{times.foreign_cores:.2f} meanwhile. A core-second outside of networks costs "
            f"{times.crowding:.2f} when all cores are busy"
            + (
                f", one of a network {times.thrift:.2f} where nearly all threads wait for a core."
                if times.thrift < 1
                else "."
            ),
            "",
            table(columns, rows),
        ]
    )


def _core_ms(times: ServiceTimes, phase: str, part: str) -> str:
    return f"{1000 * times.parts[phase].get(part, 0.0):.0f}"


_PHASES = ("upload for 1", "job of 1", "job of 3")


def _poll(times: ServiceTimes, part: str) -> float:
    return 1000 * max(0.0, times.parts["poll"].get(part, 0.0))


def curves_lines(times: ServiceTimes) -> str:
    """Batches of each network."""
    rows = [
        [
            name,
            *(
                f"{1000 * point['seconds'] / point['batch']:.1f}" if point else "-"
                for point in _by_batch(points)
            ),
            f"{points[0]['core_s'] / points[0]['seconds']:.2f}",
        ]
        for name, points in times.curves.items()
    ]
    columns = ("milliseconds a call", "batch of 1", "of 2", "of 4", "cores in use, batch of 1")
    return table(columns, rows)


def _by_batch(points: Sequence[Told]) -> list[Told | None]:
    return [next((point for point in points if point["batch"] == batch), None) for batch in (1, 2, 4)]


def traffic_lines(times: ServiceTimes) -> str:
    """What a job moves."""
    rows = []
    for name in times.traffic["1"]:
        values = [times.traffic[n][name] for n in ("1", "3")]
        count = name in ("Redis commands", "Redis scripts", "store: files, count")
        rows.append([name, *(f"{value:.0f}" if count else f"{value / 1000:,.0f} kB" for value in values)])
    return table(("a visit", "one object", "three objects"), rows)


def plan_lines(told: Told) -> str:
    """The three sizes."""
    plans = told["plans"]
    rows: list[list[str]] = [
        ["jobs a second that the GPUs bear", *(f"{plan['jobs_s']:,.0f}" for plan in plans)],
        ["GPU nodes / nodes without", *(f"{plan['gpu_nodes']:,} / {plan['cpu_nodes']:,}" for plan in plans)],
        ["cores", *(f"{plan['cores']:,.0f}" for plan in plans)],
    ]
    for stage in plans[0]["replicas"]:
        rows.append([stage, *(f"{plan['replicas'][stage]:,}" for plan in plans)])
    rows += [
        ["cells", *(f"{plan['cells']:,}" for plan in plans)],
        ["**full first**, configuration as it is", *(_first(plan, configured=True) for plan in plans)],
        ["what removes it", *(plan["limits"][0]["mends"] for plan in plans)],
        ["**full first** of what money does not move", *(_first(plan, configured=False) for plan in plans)],
        ["what removes it", *(_tightest(plan)["mends"] for plan in plans)],
    ]
    return table(("", *(f"{plan['gpus']:,} GPUs" for plan in plans)), rows)


def _tightest(plan: Told) -> Told:
    return next(limit for limit in plan["limits"] if limit["per_cell"])


def _first(plan: Told, *, configured: bool) -> str:
    limit = plan["limits"][0] if configured else _tightest(plan)
    return f"{limit['resource']}: {limit['jobs_s']:,.0f} jobs/s"


def demand_lines(told: Told) -> str:
    """The average job of the plan."""
    demand, cost = told["demand"], told["cost"]
    cores = demand["core_s"]
    gpu = ", ".join(f"{name} {1000 * value:.2f}" for name, value in demand["gpu_s"].items())
    spent = ", ".join(f"{name} {value:,.2f}" for name, value in cost.items())
    composer, refiner = 1000 * cores["ResultComposer"], 1000 * cores["MaskRefiner"]
    lines = (
        f"GPU, **assumed**: {1000 * demand['gpu_total_s']:.2f} ms ({gpu})",
        f"cores: {1000 * demand['core_total_s']:.0f} ms (composing {composer:.0f}, refining {refiner:.0f})",
        f"Redis: {demand['redis_changes']:.0f} scripts, {demand['redis_bytes'] / 1000:,.0f} kB",
        f"HTTP at the edge: {_mb(demand['edge_bytes'])}; between replicas: {_mb(demand['hop_bytes'])}",
        f"store: written {_mb(demand['store_written'])}, read {_mb(demand['store_read'])}",
        f"a million such jobs: **${sum(cost.values()):,.0f}** ({spent})",
        f"a day of the shape in `capacity/arrivals.py` has {fmean(DAY):.0%} of its peak on average: hardware "
        f"for the peak that is not let go by autoscaling costs {1 / fmean(DAY):.1f} times as much a job",
    )
    return "\n".join(f"- {line}" for line in lines)


def _mb(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


def options_lines(told: Told) -> str:
    """Every figure that was not measured."""
    rows = [
        [kind, f"`--{name.replace('_', '-')}`", f"{value:.4g}" if isinstance(value, float) else value]
        for kind in ("assumed", "hardware", "prices")
        for name, value in told[kind].items()
    ]
    return table(("kind", "option of `capacity.plan`", "value"), rows)
