from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trials.course import Course
from trials.processes import redis_of, samples, stores
from trials.service import Service
from trials.visits import SIZES, Tally, Visitor

SPARE_DESCRIPTORS = 4  # of a process: a pool may open one more connection


def files_of_jobs(service: Service) -> set[str]:
    """All but Redis' own, and embeddings: one computed while its job was deleted stays for its TTL."""
    found = (path.relative_to(service.work_dir) for path in service.work_dir.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] not in (".redis", ".embeddings")}


@pytest.mark.timeout(120)
def test_service_keeps_nothing_of_visits_that_cleaned_up(service: Service) -> None:
    connection, tally = redis_of(service), Tally()
    visitor = Visitor(service.url, tally, sizes=SIZES[:2], abandoned=0)

    def visit(seeds: range) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(visitor.visit, seeds))

    visit(range(6))  # connections are opened and counters made
    before, descriptors = stores(service, connection), {one.pid: one.descriptors for one in samples(service)}
    files_before = files_of_jobs(service)
    visit(range(6, 16))
    visitor.close()
    assert not tally.faults and sum(tally.visits.values()) == 16, tally.faults

    deadline = time.monotonic() + 20
    while True:
        after = stores(service, connection)
        more = {
            f"{one.role} {one.pid}": one.descriptors - descriptors.get(one.pid, 0)
            for one in samples(service)
            if one.descriptors > descriptors.get(one.pid, one.descriptors) + SPARE_DESCRIPTORS
        }
        files = files_of_jobs(service) - files_before
        if not more and after.redis_keys <= before.redis_keys and not files:
            break
        told = f"{before} became {after}; more descriptors: {more}; files: {sorted(files)}"
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    connection.close()


def course(values: np.ndarray) -> Course:
    made = Course()
    for at, value in zip(itertools.count(0, 5), values, strict=False):
        made.add("MiB", "one", at, value)
    return made


def test_growth_is_that_of_the_line_and_outliers_do_not_move_it() -> None:
    rng = np.random.default_rng(0)
    values = np.linspace(100, 110, 200) + rng.normal(0, 0.2, 200)
    values[::9] += 50
    growth = course(values).growth("MiB", "one", start_s=0)
    assert growth is not None and growth.level == pytest.approx(100, abs=0.6)
    assert growth.change == pytest.approx(10, abs=0.6)
    assert not growth.flat(0.03, 2.0) and growth.flat(0.12, 2.0)


def test_growth_before_the_window_does_not_count() -> None:
    values = np.concatenate([np.linspace(10, 100, 50), np.full(150, 100.0)])
    growth = course(values).growth("MiB", "one", start_s=250)
    assert growth is not None and growth.flat(0.03, 0.0)


def test_series_of_a_process_that_was_replaced_has_no_growth() -> None:
    made = course(np.full(100, 5.0))
    for at in range(300, 500, 5):
        made.add("MiB", "successor", at, 5.0)
    assert made.growth("MiB", "successor", start_s=100) is None
