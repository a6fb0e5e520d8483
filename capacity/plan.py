"""The plan for 10, 100 and 1,000 GPUs: replicas, limits, the first bottleneck, the cost of a million jobs.

    python -m capacity.plan [--lama-ms 4 --encoder-ms 0.67 ...] [--gpu-hour 2 ...] [--measured FILE]

Made of `python -m capacity.measure`'s file. Every assumption, piece of hardware and price is an option, so
that a measured figure takes its place when there is one. `--out` keeps the answer for `capacity.report`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from capacity.cluster import Hardware, Plan, plan_for, read_most_replicas
from capacity.demand import Assumptions, Demand, demand_of
from capacity.fleet import load_points
from capacity.measure import MEASURED
from capacity.prices import Prices, cost_of_a_million
from capacity.service_times import ServiceTimes, read_service_times
from capacity.validate import RESULTS

SIZES = (10, 100, 1000)
PLAN = RESULTS / "plan.json"
KNEE_SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1)
KNEE_S, KNEE_REPLICATIONS, KNEE_GPUS = 6.0, 2, 10
GPU_SWINGS = ("lama_ms", "encoder_ms", "decoder_ms", "three_objects")
SWINGS = ("lama_ms", "encoder_ms", "lama_host_ms", "encoder_host_ms", "headroom", "three_objects", "polls")
Options = TypeVar("Options", Assumptions, Hardware, Prices)


def make_plan(
    times: ServiceTimes, assumed: Assumptions, hardware: Hardware, prices: Prices, sizes: Sequence[int]
) -> dict[str, Any]:
    """Demand of a job, a plan for each size, and cost, as JSON values."""
    demand, most = demand_of(times, assumed), read_most_replicas()
    return {
        "measured": dict(times.facts),
        "assumed": asdict(assumed),
        "hardware": asdict(hardware),
        "prices": asdict(prices),
        "demand": {**asdict(demand), "gpu_total_s": demand.gpu_total_s, "core_total_s": demand.core_total_s},
        "plans": [_told(plan_for(gpus, demand, assumed, hardware, most)) for gpus in sizes],
        "cost": _cost(demand, assumed, hardware, prices),
        "swings": swings(times, assumed, hardware, prices),
        "gpu_swings": gpu_swings(times, assumed),
    }


def gpu_swings(times: ServiceTimes, assumed: Assumptions) -> dict[str, Any]:
    """Jobs per second of one GPU, all of it used, and the cores busy with them; figures half and twice."""

    def jobs_s(changed: Assumptions) -> float:
        return 1 / demand_of(times, changed).gpu_total_s

    def cores(changed: Assumptions) -> float:
        return jobs_s(changed) * demand_of(times, changed).core_total_s

    def both(figure: Callable[[Assumptions], float]) -> dict[str, Any]:
        ends = {
            name: [figure(replace(assumed, **{name: getattr(assumed, name) * factor})) for factor in (0.5, 2)]
            for name in GPU_SWINGS
        }
        return {"value": figure(assumed), "swings": ends}

    return {"jobs_s": both(jobs_s), "cores": both(cores)}


def swings(
    times: ServiceTimes, assumed: Assumptions, hardware: Hardware, prices: Prices
) -> dict[str, tuple[float, float]]:
    """Cost of a million jobs with half and with twice of each figure; headroom .5 and .9 instead."""

    def total(changed: Assumptions, priced: Prices = prices) -> float:
        return sum(_cost(demand_of(times, changed), changed, hardware, priced).values())

    found = {}
    for name in SWINGS:
        value = getattr(assumed, name)
        low, high = (0.5, 0.9) if name == "headroom" else (value / 2, value * 2)
        found[name] = (
            total(replace(assumed, **{name: low})),
            total(replace(assumed, **{name: high})),
        )
    for name in ("gpu_hour", "core_hour", "egress_gb", "file_put", "cores_included"):
        value = getattr(prices, name)
        found[name] = (
            total(assumed, replace(prices, **{name: value / 2})),
            total(assumed, replace(prices, **{name: value * 2})),
        )
    return found


def _cost(demand: Demand, assumed: Assumptions, hardware: Hardware, prices: Prices) -> dict[str, float]:
    redis_jobs_s = assumed.headroom * hardware.redis_changes_s / demand.redis_changes
    return cost_of_a_million(demand, assumed, prices, redis_jobs_s)


def _told(plan: Plan) -> dict[str, Any]:
    return asdict(plan)


def _add_options(parser: argparse.ArgumentParser, kind: type[Assumptions | Hardware | Prices]) -> None:
    group = parser.add_argument_group(kind.__name__.lower())
    for one in fields(kind):
        default = one.default
        assert isinstance(default, int | float)
        group.add_argument(f"--{one.name.replace('_', '-')}", type=type(default), default=default)


def _chosen(kind: type[Options], options: argparse.Namespace) -> Options:
    return kind(**{one.name: getattr(options, one.name) for one in fields(kind)})


def _print(told: dict[str, Any]) -> None:
    demand = told["demand"]
    print(f"a job: {1000 * demand['gpu_total_s']:.2f} GPU-ms, {1000 * demand['core_total_s']:.0f} core-ms, ")
    for part, seconds in sorted(demand["core_s"].items(), key=lambda item: -item[1]):
        print(f"    {part:<18}{1000 * seconds:7.1f} core-ms")
    for plan in told["plans"]:
        print(
            f"\n{plan['gpus']} GPUs: {plan['jobs_s']:,.0f} jobs/s, {plan['cores']:,.0f} cores "
            f"({plan['gpu_nodes']} GPU nodes, {plan['cpu_nodes']} CPU nodes), {plan['cells']} cells"
        )
        print("  replicas: " + ", ".join(f"{name} {count:,}" for name, count in plan["replicas"].items()))
        for limit in plan["limits"]:
            print(f"  {limit['jobs_s']:>12,.0f} jobs/s  {limit['resource']:<42} {limit['mends']}")
    print("\ncost of a million jobs: " + ", ".join(f"{k} {v:,.2f}" for k, v in told["cost"].items()))
    print(f"together {sum(told['cost'].values()):,.2f}")


def main() -> None:
    """Print the plan; with `--out` also simulate the knee and write everything."""
    parser = argparse.ArgumentParser(
        prog="python -m capacity.plan",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--measured", type=Path, default=MEASURED, help="file of capacity.measure")
    parser.add_argument("--gpus", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, help="write the plan there, with a simulation of 10 GPUs")
    for kind in (Assumptions, Hardware, Prices):
        _add_options(parser, kind)
    options = parser.parse_args()
    times = read_service_times(options.measured)
    assumed = _chosen(Assumptions, options)
    hardware, prices = _chosen(Hardware, options), _chosen(Prices, options)
    told = make_plan(times, assumed, hardware, prices, options.gpus)
    _print(told)
    if options.out:
        demand = demand_of(times, assumed)
        plan = plan_for(KNEE_GPUS, demand, assumed, hardware, read_most_replicas())
        points = load_points(
            times, plan, demand, assumed, KNEE_SHARES, seconds=KNEE_S, replications=KNEE_REPLICATIONS
        )
        told["knee"] = [asdict(point) for point in points]
        options.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
