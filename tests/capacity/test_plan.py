"""The plan follows from its figures as the utilisation law says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from capacity.cluster import CONFIG, Hardware, plan_for, read_most_replicas
from capacity.demand import Assumptions, demand_of
from capacity.fleet import BATCHES, PLACES, load_points
from capacity.plan import make_plan
from capacity.prices import Prices, cost_of_a_million
from capacity.service_times import ServiceTimes, read_service_times
from tests.capacity.visits import visit

PARTS = {
    "upload for 1": {"PhotoIntake": 0.1, "Ingress": 0.02, "client": 9.0, "ImageEncoder": 0.5},
    "upload for 3": {"PhotoIntake": 0.1, "Ingress": 0.02, "client": 9.0, "ImageEncoder": 0.5},
    "job of 1": {"MaskRefiner": 0.1, "ResultComposer": 0.2, "JobRunner": 0.02, "LamaInpainter": 2.0},
    "job of 3": {"MaskRefiner": 0.3, "ResultComposer": 0.6, "JobRunner": 0.06, "LamaInpainter": 6.0},
    "poll": {"HTTP proxy": 0.004, "Ingress": 0.004},
    "forget": {"HTTP proxy": 0.004},
}
TRAFFIC = {
    "Redis scripts": 10.0,
    "Redis bytes in": 1e4,
    "Redis bytes out": 1e4,
    "upload": 2e5,
    "store: original.png": 6e5,
    "store: results": 1e6,
    "store: embedding": 2e6,
    "store: files, count": 6.0,
    "hop: embedding": 2e6,
}


@pytest.fixture
def times() -> ServiceTimes:
    return ServiceTimes(
        {"date": "never"},
        2,
        0.2,
        1.0,
        0.0,
        {1: (visit(),), 3: (visit(objects=3),)},
        PARTS,
        {"1": TRAFFIC, "3": TRAFFIC},
    )


def test_service_times_come_back_from_their_file(times: ServiceTimes, tmp_path: Path) -> None:
    times.write(tmp_path / "times.json")
    assert read_service_times(tmp_path / "times.json") == times


def test_networks_and_client_are_not_counted_as_core_work(times: ServiceTimes) -> None:
    assumed = Assumptions(three_objects=0.5, polls=10.0)
    demand = demand_of(times, assumed)
    assert demand.core_s["ResultComposer"] == pytest.approx(0.4)
    assert demand.core_s["HTTP proxy"] == pytest.approx(10 * 0.004 + 0.004)
    assert demand.core_s["ImageEncoder"] == pytest.approx(assumed.encoder_host_ms / 1000)
    assert "client" not in demand.core_s
    assert demand.fills == pytest.approx(2.0)
    assert demand.gpu_s["LamaInpainter"] == pytest.approx(2 * assumed.lama_ms / 1000)


def test_twice_the_gpus_do_twice_the_jobs_and_slower_ones_fewer(times: ServiceTimes) -> None:
    assumed, hardware, most = Assumptions(), Hardware(), read_most_replicas()
    demand = demand_of(times, assumed)
    ten, twenty = (plan_for(n, demand, assumed, hardware, most) for n in (10, 20))
    assert twenty.jobs_s == pytest.approx(2 * ten.jobs_s)
    slower = replace(assumed, lama_ms=2 * assumed.lama_ms)
    assert plan_for(10, demand_of(times, slower), slower, hardware, most).jobs_s < 0.6 * ten.jobs_s


def test_first_bottleneck_is_the_tightest_and_goes_when_it_is_widened(times: ServiceTimes) -> None:
    assumed, most = Assumptions(), read_most_replicas()
    demand = demand_of(times, assumed)
    narrow = plan_for(100, demand, assumed, Hardware(redis_changes_s=20), most)
    assert "Redis" in narrow.first_bottleneck.resource
    assert narrow.cells == pytest.approx(narrow.jobs_s / (0.7 * 20 / 10), abs=1)
    wide = plan_for(100, demand, assumed, Hardware(redis_changes_s=1e9), most)
    assert "Redis" not in wide.first_bottleneck.resource and wide.cells < narrow.cells


def test_cores_beyond_those_of_gpu_nodes_become_nodes_of_their_own(times: ServiceTimes) -> None:
    assumed, most = Assumptions(), read_most_replicas()
    demand = demand_of(times, assumed)
    plan = plan_for(10, demand, assumed, Hardware(cores_per_gpu=8, cpu_node_cores=64), most)
    assert plan.cores <= 10 * 8 + plan.cpu_nodes * 64 < plan.cores + 64


def test_cost_adds_up_and_follows_its_prices(times: ServiceTimes) -> None:
    assumed = Assumptions()
    demand = demand_of(times, assumed)
    cost = cost_of_a_million(demand, assumed, Prices(), 100.0)
    dear = cost_of_a_million(demand, assumed, Prices(gpu_hour=2 * Prices().gpu_hour), 100.0)
    assert dear["GPUs"] == pytest.approx(2 * cost["GPUs"])
    assert cost["GPUs"] == pytest.approx(1e6 * demand.gpu_total_s / 0.7 / 3600 * Prices().gpu_hour)
    assert {name for name in cost if dear[name] != cost[name]} == {"GPUs"}


def test_swings_go_both_ways_around_the_cost(times: ServiceTimes) -> None:
    told = make_plan(times, Assumptions(), Hardware(), Prices(), (10,))
    total = sum(told["cost"].values())
    for name, (low, high) in told["swings"].items():
        assert min(low, high) <= total <= max(low, high), name


def test_simulated_cluster_bears_half_its_gpus_and_queues_near_all_of_them(times: ServiceTimes) -> None:
    assumed = Assumptions()
    demand = demand_of(times, assumed)
    plan = plan_for(1, demand, assumed, Hardware(), read_most_replicas())
    half, nearly = load_points(times, plan, demand, assumed, (0.5, 0.97), seconds=6, replications=1)
    assert half.outcome.throughput.value == pytest.approx(half.rate, rel=0.2)
    assert half.gpu_share == pytest.approx(0.5, abs=0.15)
    assert nearly.outcome.p95.value > half.outcome.p95.value


def test_batches_of_the_simulated_cluster_are_those_of_the_serve_config() -> None:
    told = yaml.safe_load(CONFIG.read_text())
    deployments = {one["name"]: one for one in told["applications"][0]["deployments"]}
    for name, (batch, wait) in BATCHES.items():
        user = deployments[name]["user_config"]
        assert (user["max_batch_size"], user["batch_wait_timeout_s"]) == (batch, wait)
    for name, places in PLACES.items():
        assert deployments[name]["max_ongoing_requests"] == places
