"""The simulation's parts give what queueing theory says exactly, where it says so."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Generator
from typing import Any

import pytest
import simpy

from capacity.arrivals import day_rate, poisson, varying
from capacity.processors import Processors, Work
from capacity.stages import Stage, StageSpec


def mean_sojourn(
    spec: StageSpec, cores: float, rate: float, draw: Callable[[random.Random], float], seconds: float
) -> float:
    """Seconds that a call stays, on average, after a warm-up; Poisson arrivals."""
    env, rng = simpy.Environment(), random.Random(7)
    stage = Stage(env, spec, [Processors(env, cores)], rng)
    stays: list[float] = []

    def one() -> Generator[simpy.Event, Any, None]:
        began = env.now
        yield stage.call(Work(draw(rng)))
        if began > seconds / 10:
            stays.append(env.now - began)

    def door() -> Generator[simpy.Event, Any, None]:
        for moment in poisson(rate, seconds, rng):
            yield env.timeout(moment - env.now)
            env.process(one())

    env.process(door())
    env.run()
    return statistics.fmean(stays)


def erlang_c(servers: int, offered: float) -> float:
    """Share of M/M/c's customers who wait."""
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


@pytest.mark.parametrize("load", [0.4, 0.6])
def test_one_place_with_exponential_work_is_m_m_1(load: float) -> None:
    found = mean_sojourn(StageSpec(), 1.0, load, lambda rng: rng.expovariate(1.0), 16_000)
    assert found == pytest.approx(1 / (1 - load), rel=0.12)  # three standard errors


def test_each_call_stays_as_long_as_lindleys_recursion_says() -> None:
    env, rng = simpy.Environment(), random.Random(11)
    stage, stays = Stage(env, StageSpec(), [Processors(env, 1.0)], rng), []
    arrivals = poisson(0.9, 2000, rng)
    works = [rng.expovariate(1.0) for _ in arrivals]

    def one(work: float) -> Generator[simpy.Event, Any, None]:
        began = env.now
        yield stage.call(Work(work))
        stays.append(env.now - began)

    def door() -> Generator[simpy.Event, Any, None]:
        for moment, work in zip(arrivals, works, strict=True):
            yield env.timeout(moment - env.now)
            env.process(one(work))

    env.process(door())
    env.run()
    expected, free_at = [], 0.0
    for moment, work in zip(arrivals, works, strict=True):
        free_at = max(free_at, moment) + work
        expected.append(free_at - moment)
    assert stays == pytest.approx(expected, abs=1e-5)


def test_one_place_with_equal_work_waits_half_as_long_as_m_m_1() -> None:
    found = mean_sojourn(StageSpec(), 1.0, 0.8, lambda _: 1.0, 16_000)
    assert found == pytest.approx(1 + 0.8 / (2 * (1 - 0.8)), rel=0.1)  # Pollaczek and Khinchine


def test_several_places_are_m_m_c() -> None:
    found = mean_sojourn(StageSpec(at_once=3), 3.0, 2.4, lambda rng: rng.expovariate(1.0), 8_000)
    assert found == pytest.approx(1 + erlang_c(3, 2.4) / (3 - 2.4), rel=0.15)


def test_shared_cores_do_not_mind_how_work_is_distributed() -> None:
    # M/G/1 with processor sharing: the mean stay is that of M/M/1, whatever the distribution.
    def either(rng: random.Random) -> float:
        return 5.5 if rng.random() < 0.1 else 0.5  # mean 1, very uneven

    found = mean_sojourn(StageSpec(at_once=10_000), 1.0, 0.6, either, 16_000)
    assert found == pytest.approx(1 / (1 - 0.6), rel=0.12)


def test_threads_and_weights_divide_the_cores() -> None:
    env = simpy.Environment()
    cores, ends = Processors(env, 2.0), {}

    def run(name: str, work: Work) -> Generator[simpy.Event, Any, None]:
        yield env.process(cores.perform(work))
        ends[name] = env.now

    # Two threads of weight 0.5 beside one of weight 1: a core for each of the two pieces, as weights say.
    env.process(run("wide", Work(3.0, threads=2.0, weight=0.5)))
    env.process(run("narrow", Work(1.0, threads=1.0, weight=1.0, wait_s=0.5)))
    env.run()
    assert ends["narrow"] == pytest.approx(0.5 + 1.0)
    assert ends["wide"] == pytest.approx(0.5 + 1.0 + (3.0 - 1.0 - 1.0) / 2.0)
    assert cores.used_core_s == pytest.approx(4.0)


def test_rivals_get_the_cores_that_work_leaves_and_their_share_of_the_rest() -> None:
    env, ends = simpy.Environment(), []
    cores = Processors(env, 2.0, rivals=2.0)

    def run(work: Work) -> Generator[simpy.Event, Any, None]:
        yield env.process(cores.perform(work))
        ends.append(env.now)

    env.process(run(Work(1.0, threads=2.0)))
    env.run(until=5)
    assert ends == [pytest.approx(1.0)]  # half of two cores
    env.process(run(Work(1.0, threads=2.0)))
    env.run()
    assert cores.used_core_s == pytest.approx(2.0)
    assert cores.lost_core_s == pytest.approx(1.0 + 4 * 2.0 + 1.0)


@pytest.mark.parametrize("crowding", [1.25, 0.8])
def test_work_beside_others_costs_more_or_less_than_alone(crowding: float) -> None:
    env = simpy.Environment()
    cores, ends = Processors(env, 2.0, crowding=crowding), []

    def run(work: Work) -> Generator[simpy.Event, Any, None]:
        yield env.process(cores.perform(work))
        ends.append(env.now)

    env.process(run(Work(1.0)))
    env.run()
    assert ends == [pytest.approx(1.0)]
    env.process(run(Work(1.0)))
    env.process(run(Work(1.0)))
    env.run()
    assert ends[1:] == [pytest.approx(1 + crowding)] * 2


def test_work_in_step_costs_less_where_threads_wait_for_cores() -> None:
    env = simpy.Environment()
    cores, ends = Processors(env, 2.0, thrift=0.8), []

    def run(work: Work) -> Generator[simpy.Event, Any, None]:
        yield env.process(cores.perform(work))
        ends.append(env.now)

    env.process(run(Work(2.0, threads=2.0, in_step=True)))
    env.run()
    assert ends == [pytest.approx(1.0)]
    for in_step in (True, True, False):  # six threads on two cores: two thirds of them wait
        env.process(run(Work(2.0, threads=2.0, in_step=in_step)))
    env.run()
    assert ends[1:] == [pytest.approx(1 + 2.6), pytest.approx(1 + 2.6), pytest.approx(1 + 8.2 / 3)]


def test_full_batch_goes_at_once_and_a_part_after_its_wait() -> None:
    env = simpy.Environment()
    spec = StageSpec(max_batch=4, batch_wait_s=0.5, batch_saves_s=0.9)
    stage, ends = Stage(env, spec, [Processors(env, 1.0)], random.Random(0)), []

    def one(at: float) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(at)
        yield stage.call(Work(1.0))
        ends.append(round(env.now, 6))

    for at in (0.0, 0.0, 0.0, 0.0, 10.0):
        env.process(one(at))
    env.run()
    assert ends == [1.3, 1.3, 1.3, 1.3, 11.5]
    assert stage.batches == 2


def test_arrivals_keep_their_rate_and_its_shape() -> None:
    rng = random.Random(3)
    times = poisson(5.0, 2000, rng)
    assert len(times) == pytest.approx(10_000, rel=0.05) and times == sorted(times)
    rate = day_rate(10.0, 2400.0)
    many = varying(rate, 10.0, 2400.0, rng)
    night = sum(300 <= time < 500 for time in many)
    evening = sum(1950 <= time < 2150 for time in many)
    assert 4 * night < evening
