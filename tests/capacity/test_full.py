"""What networks and other work cost on a full machine is found again from the core-seconds spent there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capacity.full import Full, fitted, full_load
from capacity.jobs import Visit
from capacity.processors import Work
from capacity.service_times import ServiceTimes
from capacity.simulation import simulate
from tests.capacity.visits import visit

SECONDS = 40.0


def with_a_network() -> Visit:
    one = visit(objects=2, fill_s=0.4)
    wide = Work(0.4, 2.0, in_step=True)
    return replace(one, fills=tuple(replace(fill, work=wide) for fill in one.fills))


def times_of(thrift: float = 1.0, crowding: float = 1.0) -> ServiceTimes:
    idle = {"idle": {"Ray": 0.1}}
    return ServiceTimes({}, 2, 0.1, crowding, 0.0, {2: (with_a_network(),)}, idle, thrift=thrift)


def borne_by(times: ServiceTimes, pace: float = 1.0) -> Full:
    """What the simulation with these times spends of the full load, in the place of a service."""
    then, load = times.at_pace(pace), full_load(SECONDS)
    networks, used, ended = 0.0, 0.0, 0
    for seed in range(90, 94):
        run = simulate(then.local_service(), then.visits[2], load.clients, seconds=SECONDS, seed=seed)
        ended += sum(job.ready is not None and job.ready < SECONDS for job in run.jobs)
        used += (run.core_share * times.cores - then.background_cores) * SECONDS
        networks += run.networks_cores * SECONDS
    return Full(SECONDS, ended, networks / ended, (used - networks) / ended, (pace,))


@pytest.mark.parametrize(("thrift", "crowding"), [(0.7, 1.0), (0.9, 0.85), (0.8, 1.2)])
def test_both_factors_are_found_again(thrift: float, crowding: float) -> None:
    found = fitted(times_of(), borne_by(times_of(thrift, crowding)))
    assert found.thrift == pytest.approx(thrift, abs=0.05)
    assert found.crowding == pytest.approx(crowding, abs=0.05)


def test_a_slower_machine_is_not_taken_for_a_dearer_network() -> None:
    full = borne_by(times_of(0.8), pace=1.25)
    assert fitted(times_of(), full).thrift == pytest.approx(0.8, abs=0.05)


def test_at_another_pace_work_takes_longer_and_waits_do_not() -> None:
    one = replace(with_a_network(), finish=Work(0.1, wait_s=0.5))
    slower = one.times(1.5)
    assert slower.core_s == pytest.approx(1.5 * one.core_s)
    assert slower.finish.core_s == pytest.approx(0.15) and slower.finish.wait_s == 0.5
    assert slower.fills[0].work.threads == 2.0 and slower.fills[0].work.in_step
