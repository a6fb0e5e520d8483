"""One client alone on the running service, visit after visit: what each step takes and costs.

Owns how many visits and calls are measured, the making of `ServiceTimes` from them, and the gauge of the
machine's pace: a shared machine may be a quarter slower half an hour later.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capacity.jobs import Visit
from capacity.one_client import (
    SETTLE_S,
    STAGES,
    Call,
    OneClient,
    Probe,
    cores_in_use,
    mean_by_part,
    mean_parts,
    synced_write_s,
    tap_unpolled,
    visits_of,
)
from capacity.service_times import ServiceTimes
from capacity.visitor import Visitor, fresh_seed, new_pictures
from trials.service import Service

SIDE = 1024
FORGOTTEN, POLLED = 6, 60
GAUGED = 6  # jobs
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Alone:
    """One round. `probes`: visits by number of objects; their core-seconds are over the idle service's."""

    background: Mapping[str, float]  # cores that the idle service uses, by part
    background_cores: float
    foreign_cores: float
    put_s: float  # a synced write, seconds without a core
    poll: Call
    forget: Call
    probes: Mapping[int, Sequence[Probe]]

    def seconds(self, objects: int) -> float:
        """Median from the tap to `ready`."""
        return statistics.median(one.tapped.ready_at - one.tapped.tapped_at for one in self.probes[objects])


def one_round(service: Service, counts: Mapping[int, int], say: Say) -> Alone:
    """`counts` visits by number of objects, and the calls around them."""
    put_s = synced_write_s(service.work_dir)
    client = OneClient(service)
    say(f"idle service: {client.background_cores:.2f} cores; others: {client.foreign_cores:.2f}")
    pictures = iter(new_pictures(3 + sum(counts.values()) + FORGOTTEN, SIDE, fresh_seed()))
    for objects in (1, 1, 3):
        client.probe(next(pictures), objects)  # first jobs pay for handles and caches
    uploaded = [client.visitor.upload(next(pictures)) for _ in range(FORGOTTEN)]
    time.sleep(1.0)  # their embeddings are made
    poll = client.calls(lambda: client.visitor.poll(uploaded[0]), POLLED)
    forget = client.calls(lambda: client.visitor.forget(uploaded.pop()), FORGOTTEN)
    probes: dict[int, list[Probe]] = {objects: [] for objects in counts}
    for objects in _in_turn(counts):
        probes[objects].append(client.probe(next(pictures), objects))
    client.visitor.close()
    alone = Alone(
        client.background, client.background_cores, client.foreign_cores, put_s, poll, forget, probes
    )
    for objects in counts:
        say(f"{objects} object(s): {alone.seconds(objects):.2f} s alone")
    return alone


class Gauge:
    """How fast the machine is just now: the same few jobs of one object, one after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pictures = new_pictures(GAUGED, SIDE, fresh_seed())
        self.seconds()  # their embeddings are made

    def seconds(self) -> float:
        """Mean from the tap to `ready`."""
        visitor = Visitor(self._service.url, poll_s=0.05)
        mean = statistics.fmean(self._job(visitor, picture) for picture in self._pictures)
        visitor.close()
        return mean

    def _job(self, visitor: Visitor, picture: bytes) -> float:
        job_id = visitor.upload(picture)
        time.sleep(2 * SETTLE_S)  # an idle machine is meant, as in a probe
        tapped = tap_unpolled(self._service, visitor, job_id, 1)
        visitor.forget(job_id)
        return tapped.ready_at - tapped.tapped_at


def together(rounds: Sequence[Alone]) -> Alone:
    """The visits of all rounds, and the means of what surrounds them."""

    def mean(of: Callable[[Alone], float]) -> float:
        return statistics.fmean(of(one) for one in rounds)

    return Alone(
        mean_by_part([one.background for one in rounds]),
        mean(lambda one: one.background_cores),
        mean(lambda one: one.foreign_cores),
        mean(lambda one: one.put_s),
        _mean_call([one.poll for one in rounds]),
        _mean_call([one.forget for one in rounds]),
        {objects: [p for one in rounds for p in one.probes[objects]] for objects in rounds[0].probes},
    )


def service_times(alone: Alone, crowding: float, facts: Mapping[str, Any]) -> ServiceTimes:
    """What the simulation is fed with."""
    in_use = [cores_in_use(many) for many in alone.probes.values()]
    threads = {stage: max(one.get(stage, 0.0) for one in in_use) for stage in STAGES}
    visits: dict[int, tuple[Visit, ...]] = {}
    parts: dict[str, Mapping[str, float]] = {
        "idle": alone.background,
        "poll": alone.poll.parts,
        "forget": alone.forget.parts,
    }
    for objects, many in alone.probes.items():
        visits[objects] = tuple(visits_of(many, threads, alone.poll, alone.forget, alone.put_s))
        parts[f"upload for {objects}"] = mean_parts(many, lambda one: one.upload)
        parts[f"job of {objects}"] = mean_parts(many, lambda one: one.job)
    return ServiceTimes(
        {**facts, "synced write, s": alone.put_s},
        os.cpu_count() or 1,
        alone.background_cores,
        crowding,
        alone.foreign_cores,
        visits,
        parts,
    )


def _in_turn(counts: Mapping[int, int]) -> Iterator[int]:
    """Each number of objects as often as asked, one after the other, so that all meet the same machine."""
    rows: Iterable[tuple[int | None, ...]] = itertools.zip_longest(
        *([objects] * count for objects, count in counts.items())
    )
    return (objects for row in rows for objects in row if objects is not None)


def _mean_call(calls: Sequence[Call]) -> Call:
    return Call(
        statistics.fmean(call.seconds for call in calls), mean_by_part([call.parts for call in calls])
    )
