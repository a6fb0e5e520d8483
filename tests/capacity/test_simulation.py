"""The simulated service keeps the laws that any queueing network keeps."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import yaml

from capacity.outcome import of_real_runs, of_replications, percentile, responses, student_t
from capacity.service_times import LOCAL_CONCURRENT_JOBS, LOCAL_STAGES
from capacity.simulation import Clients, JobSeen, ServiceSpec, simulate
from tests.capacity.visits import visit

ROOT = Path(__file__).resolve().parents[2]


def local(cores: float = 2.0, **more: float) -> ServiceSpec:
    return ServiceSpec(cores, LOCAL_STAGES, LOCAL_CONCURRENT_JOBS, **more)  # type: ignore[arg-type]


def test_lone_job_takes_the_sum_of_its_steps() -> None:
    run = simulate(local(), [visit(hop_s=0.01)], Clients(arrivals=[0.0], look_s=1.0), seconds=10, seed=0)
    (job,) = run.jobs
    assert job.ready is not None
    assert job.ready - job.tapped == pytest.approx(6 * 0.01 + 0.1 + 0.2 + 1.0 + 0.1)


def test_tap_before_the_embedding_waits_for_it() -> None:
    run = simulate(local(), [visit()], Clients(arrivals=[0.0], look_s=0.2), seconds=10, seed=0)
    (job,) = run.jobs
    assert job.ready is not None
    assert job.ready - job.tapped == pytest.approx((0.5 - 0.2) + 0.1 + 0.2 + 1.0 + 0.1)


def test_every_job_that_came_is_told_once_and_ends_once() -> None:
    arrivals = [0.1 * n for n in range(200)]
    run = simulate(local(), [visit(fill_s=0.3)], Clients(arrivals=arrivals), seconds=25, seed=1, tail_s=500)
    assert len(run.jobs) == len(arrivals)
    assert all(job.ready is not None and job.ready > job.tapped for job in run.jobs)


def test_busy_cores_are_those_that_the_work_asks_for() -> None:
    # Utilisation law: jobs per second times core-seconds of a visit.
    one = visit(fill_s=0.4)
    arrivals = [float(n) for n in range(300)]
    run = simulate(local(background_cores=0.1), [one], Clients(arrivals=arrivals), seconds=300, seed=1)
    assert run.core_share == pytest.approx((one.core_s * 1.0 + 0.1) / 2, rel=0.02)


def test_users_law_of_response_time_and_little_hold() -> None:
    # N = X (R + everything around the job): what users do must fill their time, whatever the queues.
    users, look_s, poll_s, seconds = 6, 1.0, 0.05, 300.0
    clients = Clients(users=users, look_s=look_s, poll_s=poll_s)
    run = simulate(local(), [visit(fill_s=0.5)], clients, seconds=seconds, seed=2)
    warm = 30.0
    ended = [job for job in run.jobs if job.ready is not None and warm <= job.ready]
    rate = len(ended) / (seconds - warm)
    cycle = statistics.fmean(responses(run.jobs, warm)) + look_s + 0.05 + poll_s / 2
    assert rate * cycle == pytest.approx(users, rel=0.15)  # the intake queues as well


@pytest.mark.parametrize("users", [1, 2, 4, 8])
def test_throughput_is_within_the_bounds_of_operational_analysis(users: int) -> None:
    one, cores, look_s = visit(fill_s=0.5, threads=2.0), 2.0, 1.0
    run = simulate(local(cores), [one], Clients(users=users, look_s=look_s, poll_s=0.05), seconds=200, seed=3)
    outcome = of_real_runs([run.jobs], 20, 200)
    alone_s = 0.05 + look_s + 0.1 + 0.2 + 0.25 + 0.1  # encoded while the user looks
    most = min(users / alone_s, cores / one.core_s)
    assert outcome.throughput.value <= most * 1.02
    least = users / (alone_s * users + one.core_s)  # asymptotic bound of a closed network
    assert outcome.throughput.value >= min(least, most) * 0.9


def test_same_seed_is_the_same_run_and_another_is_not() -> None:
    visits = [visit(fill_s=0.2 * n) for n in range(1, 6)]

    def ends(seed: int) -> list[float | None]:
        run = simulate(local(), visits, Clients(users=3), seconds=60, seed=seed)
        return [job.ready for job in run.jobs]

    assert ends(4) == ends(4) != ends(5)


def test_more_jobs_than_runners_take_wait_their_turn() -> None:
    run = simulate(local(cores=64.0), [visit()], Clients(arrivals=[0.0] * 12), seconds=60, seed=0)
    assert run.longest_line >= 12 - 2 * LOCAL_CONCURRENT_JOBS
    ends = sorted(job.ready for job in run.jobs if job.ready is not None)
    # One inpainter, one fill at a time: 64 cores do not help.
    assert ends[-1] - ends[0] >= 11 * 1.0 - 1e-6


def test_local_stages_are_those_of_the_serve_config() -> None:
    told = yaml.safe_load((ROOT / "serve_config.local.yaml").read_text())
    deployments = {one["name"]: one for one in told["applications"][0]["deployments"]}
    for name, spec in LOCAL_STAGES.items():
        config = deployments[name]
        user = config.get("user_config", {})
        assert spec.replicas == config["num_replicas"]
        if "max_batch_size" in user:
            assert (spec.at_once, spec.max_batch) == (1, user["max_batch_size"])
            assert spec.batch_wait_s == user["batch_wait_timeout_s"]
        else:
            assert spec.at_once == config["max_ongoing_requests"]
    assert deployments["JobRunner"]["user_config"]["concurrent_jobs"] == LOCAL_CONCURRENT_JOBS


def test_intervals_of_replications_hold_the_mean_about_as_often_as_they_say() -> None:
    one = visit(fill_s=0.4)
    visits = [one, visit(fill_s=0.1), visit(fill_s=0.9)]
    clients = Clients(users=2)
    groups = [
        of_replications(
            [[simulate(local(), visits, clients, seconds=30, seed=10 * g + k)] for k in range(5)], 5, 30
        )
        for g in range(10)
    ]
    middle = statistics.fmean(group.p50.value for group in groups)
    held = sum(abs(group.p50.value - middle) <= group.p50.half_width for group in groups)
    assert held >= 7


def test_percentiles_interpolate_and_warm_up_is_left_out() -> None:
    jobs = [JobSeen(1, float(n), float(n) + n) for n in range(11)] + [JobSeen(1, 11.0, None)]
    assert responses(jobs, 5.0) == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert student_t(10) == pytest.approx(2.262, abs=0.01)
