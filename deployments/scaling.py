"""How many job runners a backlog asks for.

Owns the autoscaling policy that the serve configs name for `JobRunner`; the other stages scale on their
ongoing requests, by Serve's own policy. Serve sends this module by value to its controller, so it imports
nothing of ours. What Serve adds around it: scaling factors, delays, min and max replicas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

BACKLOG = "backlog"  # what every runner reports: runs that have not ended, waiting or in hand


def runners_for_backlog(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Serve's custom policy: one runner for each `target_ongoing_requests` jobs; not rounded, not bounded.

    While no runner reports (the store does not answer, or all have just started) the number stays.
    """
    series = (context.raw_metrics or {}).get(BACKLOG, {})
    jobs = newest_value((point.timestamp, point.value) for points in series.values() for point in points)
    return runners_wanted(jobs, context.config.target_ongoing_requests, context.target_num_replicas), {}


def runners_wanted(jobs: float | None, jobs_per_runner: float, present: int) -> float:
    """Runners for so many jobs; as many as there are when the jobs are not known."""
    return float(present) if jobs is None else jobs / jobs_per_runner


def newest_value(points: Iterable[tuple[float, float]]) -> float | None:
    """The value of the latest (time, value); all runners count the same queue, so any of them will do."""
    return max(points, default=(0.0, None))[1]
