"""The tables and pictures of docs/capacity.md, made of the files in `capacity/results/`.

    python -m capacity.report [--check]

After `capacity.validate`, `capacity.measure` and `capacity.plan --out` have been run, this replaces what
stands between the markers of the page, and the pictures. `--check` writes nothing and fails if the page says
anything else than the files.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capacity.comparison import TAIL_S, WARM_UP_S
from capacity.figures import of_plan, of_service
from capacity.measure import MEASURED
from capacity.outcome import of_replications
from capacity.plan import PLAN
from capacity.service_times import ServiceTimes, read_service_times
from capacity.simulation import Clients, simulate
from capacity.tables import (
    curves_lines,
    demand_lines,
    options_lines,
    parts_lines,
    plan_lines,
    traffic_lines,
    validation_lines,
)
from capacity.validate import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "capacity.md"
PICTURES = PAGE.parent / "capacity"
ALTERNATIVES = {
    "validation": "Each load's throughput, median and p95, measured and simulated",
    "knee": "Throughput, waiting and busy stages against users; lines simulated, dots measured",
    "parts": "Core-seconds of a visit, by process",
    "service_times": "Core-seconds of each run of each stage",
    "bottlenecks": "What each resource bears at each size, against what the GPUs bear",
    "gpu_sensitivity": "Jobs and cores of one GPU if an assumption is half or twice",
    "cluster_knee": "Waiting and batches on a simulated cluster of 10 GPUs",
    "cost": "Cost of a million jobs, and the same with half and twice of each figure",
}
END = "<!-- end of figures -->"
CURVE_USERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
CURVE_S, CURVE_REPLICATIONS = 60.0, 6


def knee_curve(times: ServiceTimes, rivals: float) -> list[dict[str, Any]]:
    """This machine's simulated throughput and waiting by number of users."""
    points = []
    for users in CURVE_USERS:
        runs = [
            simulate(
                times.local_service(rivals),
                times.visits[1],
                Clients(users, look_s=1.0, poll_s=0.5),
                seconds=CURVE_S,
                seed=seed,
                tail_s=TAIL_S,
            )
            for seed in range(CURVE_REPLICATIONS)
        ]
        outcome = of_replications([[run] for run in runs], WARM_UP_S, CURVE_S)
        points.append(
            {
                "users": users,
                "throughput": outcome.throughput.value,
                "p50": outcome.p50.value,
                "p95": outcome.p95.value,
                "cores": runs[0].core_share,
                "stages": runs[0].stage_share,
            }
        )
    return points


def sections_of(results: Path) -> dict[str, str]:
    """What stands between each pair of markers; a section whose file is missing is left out."""
    sections: dict[str, str] = {}
    validation, service_times = results / "validation.json", results / "service_times.json"
    measured, plan = results / MEASURED.name, results / PLAN.name
    for name in drawn_of(results):
        sections[f"picture of {name}"] = f"![{ALTERNATIVES[name]}](capacity/{name}.svg)"
    if validation.exists():
        sections["validation"] = validation_lines(json.loads(validation.read_text()))
    if service_times.exists():
        sections["parts"] = parts_lines(read_service_times(service_times))
    if measured.exists():
        times = read_service_times(measured)
        sections["full-size parts"] = parts_lines(times)
        sections["curves"], sections["traffic"] = curves_lines(times), traffic_lines(times)
    if plan.exists():
        told = json.loads(plan.read_text())
        sections["demand"], sections["plan"] = demand_lines(told), plan_lines(told)
        sections["options"] = options_lines(told)
    return sections


def filled(page: str, sections: Mapping[str, str]) -> str:
    """The page with its sections replaced.

    Raises:
        ValueError: the page lacks a section's markers.
    """
    for name, text in sections.items():
        begin = f"<!-- figures: {name} -->"
        before, found, after = page.partition(begin)
        _, ended, rest = after.partition(END)
        if not (found and ended):
            raise ValueError(f"the page has no place for {name}: {begin} ... {END}")
        page = f"{before}{begin}\n\n{text}\n\n{END}{rest}"
    return page


def drawn_of(results: Path) -> list[str]:
    """Names of the pictures whose files are there."""
    names = []
    if (results / "validation.json").exists() and (results / "service_times.json").exists():
        names += ["validation", "knee"]
    if (results / MEASURED.name).exists():
        names += ["parts", "service_times"]
    if (results / PLAN.name).exists():
        names += ["bottlenecks", "cost", "gpu_sensitivity", "cluster_knee"]
    return names


def draw(results: Path, pictures: Path) -> None:
    """All pictures whose files are there."""
    names = drawn_of(results)
    if "validation" in names:
        told = json.loads((results / "validation.json").read_text())
        times = read_service_times(results / "service_times.json")
        of_service.draw_validation(told, pictures / "validation.svg")
        rivals = statistics.median(
            leg["rivals"] for load in told["loads"] if load["users"] for leg in load["legs"]
        )
        of_service.draw_knee(knee_curve(times, rivals), told["loads"], pictures / "knee.svg")
    if "parts" in names:
        times = read_service_times(results / MEASURED.name)
        of_service.draw_parts(times.parts, pictures / "parts.svg")
        of_service.draw_service_times(times.visits, pictures / "service_times.svg")
    if "cost" in names:
        told = json.loads((results / PLAN.name).read_text())
        of_plan.draw_bottlenecks(told["plans"], pictures / "bottlenecks.svg")
        of_plan.draw_cost(told, pictures / "cost.svg")
        of_plan.draw_gpu_sensitivity(told, pictures / "gpu_sensitivity.svg")
        of_plan.draw_cluster_knee(told["knee"], told["plans"][0]["gpus"], pictures / "cluster_knee.svg")


def main() -> None:
    """Write the page and the pictures, or check the page."""
    parser = argparse.ArgumentParser(prog="python -m capacity.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page differs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    page = PAGE.read_text()
    wanted = filled(page, sections_of(options.results))
    if options.check:
        raise SystemExit(0 if page == wanted else "docs/capacity.md differs from capacity/results")
    PAGE.write_text(wanted)
    draw(options.results, PICTURES)


if __name__ == "__main__":
    main()
