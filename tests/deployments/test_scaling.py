from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from deployments.scaling import BACKLOG, runners_for_backlog


def context(present: int, series: dict[str, list[tuple[float, float]]] | None) -> Any:
    """What Serve hands to a policy: here only what ours reads. `series`: replica -> (time, jobs)."""
    points = {
        replica: [SimpleNamespace(timestamp=at, value=jobs) for at, jobs in values]
        for replica, values in (series or {}).items()
    }
    return SimpleNamespace(
        raw_metrics={BACKLOG: points} if series is not None else {},
        config=SimpleNamespace(target_ongoing_requests=16),
        target_num_replicas=present,
    )


@pytest.mark.parametrize(("jobs", "runners"), [(0, 0), (16, 1), (24, 1.5), (160, 10)])
def test_one_runner_for_each_sixteen_jobs(jobs: float, runners: float) -> None:
    assert runners_for_backlog(context(1, {"a": [(1.0, jobs)]})) == (runners, {})


def test_runners_all_count_the_same_queue_so_the_newest_count_holds_and_none_is_added_up() -> None:
    reports = {"a": [(1.0, 320.0), (3.0, 32.0)], "b": [(2.0, 320.0)]}
    assert runners_for_backlog(context(4, reports))[0] == 2


@pytest.mark.parametrize("series", [None, {}, {"a": []}])
def test_number_stays_while_nobody_reports(series: Any) -> None:
    assert runners_for_backlog(context(4, series))[0] == 4
