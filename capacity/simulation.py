"""The service as a discrete-event simulation: the same DAG, queue, batches and shared cores.

Owns the way of a job (`deployments/job_walk.py`'s, step by step) and the clients. Seeded: the same seed
gives the same run. Every figure it knows of a stage was measured or is an assumption that the caller states.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from capacity.jobs import Look, Removal, Visit
from capacity.processors import Processors, Work
from capacity.stages import Stage, StageSpec

ON_GPU = ("ImageEncoder", "PromptDecoder", "LamaInpainter")
ON_CPU = ("PhotoIntake", "MaskRefiner", "ResultComposer")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """Hardware and numbers of each stage.

    `cores` are those that all processes share; `background_cores` of them are busy whatever happens (Ray's
    bookkeeping, other users of the machine). `gpus`: 0 puts the networks on the cores.
    """

    cores: float
    stages: Mapping[str, StageSpec]
    concurrent_jobs: int  # of all runners together
    background_cores: float = 0.0
    crowding: float = 1.0
    thrift: float = 1.0
    rivals: float = 0.0  # threads of other programs that take what they can get
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Clients:
    """Who comes: `users` who begin anew when they are done, or one visitor at each of `arrivals` (seconds).

    `look_s` passes between an upload's answer and the tap, anything from `1 - look_spread` to
    `1 + look_spread` times that; `poll_s` between two `/status`.
    """

    users: int = 0
    arrivals: Sequence[float] = ()
    look_s: float = 1.0
    poll_s: float = 0.25
    look_spread: float = 0.0

    def look(self, rng: random.Random) -> float:
        """Seconds that one visitor looks at the picture."""
        return self.look_s * rng.uniform(1 - self.look_spread, 1 + self.look_spread)


@dataclass(frozen=True, slots=True)
class JobSeen:
    """Moments of one job, seconds from the beginning; `ready` None where the run ended before it."""

    objects: int
    tapped: float
    ready: float | None


@dataclass(slots=True)
class Run:
    """What one run of the simulation leaves."""

    seconds: float
    jobs: list[JobSeen] = field(default_factory=list)
    core_share: float = 0.0  # of all cores, background and rivals included
    rivals_cores: float = 0.0  # what rivals got
    networks_cores: float = 0.0  # what networks got of the cores
    gpu_share: float = 0.0
    stage_share: dict[str, float] = field(default_factory=dict)  # of each stage's places
    mean_batch: dict[str, float] = field(default_factory=dict)
    longest_line: int = 0


def simulate(
    spec: ServiceSpec,
    visits: Sequence[Visit],
    clients: Clients,
    *,
    seconds: float,
    seed: int,
    tail_s: float = 0.0,
) -> Run:
    """One run; each visit is drawn from `visits`.

    Nobody begins after `seconds`; those who are there have `tail_s` more to end. Shares are of `seconds`.
    """
    world = _Service(spec, seed)
    jobs: list[tuple[int, float, list[float]]] = []

    def visit() -> Generator[simpy.Event, Any, None]:
        chosen = visits[world.rng.randrange(len(visits))]
        yield from world.visit(chosen, clients, jobs)

    def user() -> Generator[simpy.Event, Any, None]:
        while world.env.now < seconds:
            yield from visit()

    def door() -> Generator[simpy.Event, Any, None]:
        for moment in clients.arrivals:
            yield world.env.timeout(max(0.0, moment - world.env.now))
            world.env.process(visit())

    for _ in range(clients.users):
        world.env.process(user())
    world.env.process(door())
    world.env.run(until=seconds)
    run = world.told(seconds)
    if tail_s:
        world.env.run(until=seconds + tail_s)
    run.jobs = [JobSeen(objects, tapped, end[0] if end else None) for objects, tapped, end in jobs]
    return run


class _Service:
    def __init__(self, spec: ServiceSpec, seed: int) -> None:
        self.env = simpy.Environment()
        self.rng = random.Random(seed)
        self.spec = spec
        self.cores = Processors(
            self.env, spec.cores - spec.background_cores, spec.crowding, spec.rivals, spec.thrift
        )
        self.gpus = [Processors(self.env, 1.0) for _ in range(spec.gpus)]
        self.stages = {
            name: Stage(self.env, stage, self._places(name, stage), self.rng)
            for name, stage in spec.stages.items()
        }
        self.runner = simpy.Resource(self.env, spec.concurrent_jobs)
        self.longest_line = 0

    def _places(self, name: str, stage: StageSpec) -> list[Processors]:
        if name in ON_GPU and self.gpus:
            return self.gpus
        if stage.own_cores:
            return [Processors(self.env, stage.own_cores) for _ in range(stage.replicas)]
        return [self.cores]

    def visit(
        self, visit: Visit, clients: Clients, jobs: list[tuple[int, float, list[float]]]
    ) -> Generator[simpy.Event, Any, None]:
        """One client: uploads, looks, taps, polls until ready, cleans up."""
        yield self._do(visit.receive)
        yield self.stages["PhotoIntake"].call(visit.intake)
        embedded = self.stages["ImageEncoder"].call(visit.encode)  # ahead of the tap
        yield self.env.timeout(clients.look(self.rng))
        ready: list[float] = []
        jobs.append((visit.objects, self.env.now, ready))
        yield self._do(visit.accept)
        self.env.process(self._job(visit, embedded, ready))
        while True:
            yield self._do(visit.poll)
            if ready:
                break
            yield self.env.timeout(clients.poll_s)
        yield self._do(visit.forget)

    def _job(
        self, visit: Visit, embedded: simpy.Event, ready: list[float]
    ) -> Generator[simpy.Event, Any, None]:
        with self.runner.request() as place:
            self.longest_line = max(self.longest_line, len(self.runner.queue))
            yield place
            yield self._do(visit.pick_up)
            if not embedded.processed:
                yield embedded
            yield self._do(visit.to_decoder)
            yield self.stages["PromptDecoder"].call(visit.decode)
            yield self._do(visit.to_refiner)
            yield self.stages["MaskRefiner"].call(visit.refine)
            if visit.refine_again.core_s:
                yield self._do(visit.to_looks)
                yield self.env.all_of([self.env.process(self._look(look)) for look in visit.looks])
                yield self.stages["MaskRefiner"].call(visit.refine_again)
            yield self._do(visit.to_writers)
            fills = [self.stages["LamaInpainter"].call(fill.work, fill.kind) for fill in visit.fills]
            composer = self.stages["ResultComposer"]
            written: list[simpy.Event] = [composer.call(work) for work in visit.cut_outs]
            written += [self.env.process(self._remove(removal, fills)) for removal in visit.removals]
            if written:
                yield self.env.all_of(written)
            yield self._do(visit.finish)
            ready.append(self.env.now)

    def _look(self, look: Look) -> Generator[simpy.Event, Any, None]:
        yield self.stages["ImageEncoder"].call(look.encode)
        yield self.stages["PromptDecoder"].call(look.decode)

    def _remove(self, removal: Removal, fills: Sequence[simpy.Event]) -> Generator[simpy.Event, Any, None]:
        yield self.env.all_of([fills[index] for index in removal.of])
        yield self.stages["ResultComposer"].call(removal.work)

    def _do(self, work: Work) -> simpy.Process:
        return self.env.process(self.cores.perform(work))

    def told(self, seconds: float) -> Run:
        spec = self.spec
        return Run(
            seconds,
            core_share=(spec.background_cores + (self.cores.used_core_s + self.cores.lost_core_s) / seconds)
            / spec.cores,
            rivals_cores=self.cores.lost_core_s / seconds,
            networks_cores=self.cores.in_step_core_s / seconds,
            gpu_share=sum(gpu.used_core_s for gpu in self.gpus) / seconds / len(self.gpus)
            if self.gpus
            else 0,
            stage_share={
                name: stage.busy_s / seconds / (spec.stages[name].replicas * spec.stages[name].at_once)
                for name, stage in self.stages.items()
            },
            mean_batch={
                name: stage.calls / stage.batches for name, stage in self.stages.items() if stage.batches
            },
            longest_line=self.longest_line,
        )
