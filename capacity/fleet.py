"""The simulation of a cluster with GPUs: measured CPU stages, assumed networks.

Owns the translation of measured visits to it: networks run on GPUs that encoder, decoder and LaMa share by
turns (a fraction of a GPU in Ray is bookkeeping), CPU stages have a core each, hops take as long as measured.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from capacity.arrivals import poisson
from capacity.cluster import Plan
from capacity.demand import Assumptions, Demand
from capacity.jobs import Fill, Removal, Visit
from capacity.outcome import Outcome, of_replications
from capacity.processors import Work
from capacity.service_times import ServiceTimes
from capacity.simulation import Clients, ServiceSpec, simulate
from capacity.stages import StageSpec

# As serve_config.yaml: largest batch and wait of each network; a test compares them.
BATCHES = {"ImageEncoder": (16, 0.004), "PromptDecoder": (32, 0.002), "LamaInpainter": (8, 0.01)}
LOOK_S = 0.5  # between upload and tap; nothing of the cluster is busy for it
PLACES = {"PhotoIntake": 2, "MaskRefiner": 4, "ResultComposer": 4}  # max_ongoing_requests


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Arrivals at `share` of what the GPUs bear, and what came of it."""

    share: float
    rate: float
    outcome: Outcome
    gpu_share: float
    mean_batch: dict[str, float]


def visit_on_gpus(visit: Visit, assumed: Assumptions) -> Visit:
    """The same job where GPUs run the networks."""

    def on_gpu(milliseconds: float, largest_batch: int) -> Work:
        # The assumed time is that at full batches: a batch's own time is shared by all in it.
        return Work((milliseconds + assumed.launch_ms * (1 - 1 / largest_batch)) / 1000)

    def elsewhere(work: Work, host_ms: float = 0.0) -> Work:
        return Work(0.0, wait_s=work.alone_s + host_ms / 1000)

    def on_a_core(work: Work) -> Work:
        return Work(work.core_s, 1.0, work.wait_s)

    lama = on_gpu(assumed.lama_ms, BATCHES["LamaInpainter"][0])
    return replace(
        visit,
        receive=elsewhere(visit.receive),
        intake=on_a_core(visit.intake),
        encode=on_gpu(assumed.encoder_ms, BATCHES["ImageEncoder"][0]),
        accept=elsewhere(visit.accept),
        pick_up=elsewhere(visit.pick_up),
        to_decoder=elsewhere(visit.to_decoder, assumed.decoder_host_ms),
        decode=on_gpu(visit.objects * assumed.decoder_ms, BATCHES["PromptDecoder"][0]),
        to_refiner=elsewhere(visit.to_refiner),
        refine=on_a_core(visit.refine),
        to_writers=elsewhere(visit.to_writers, assumed.lama_host_ms),
        fills=tuple(Fill(lama, 0) for _ in visit.fills),
        removals=tuple(Removal(on_a_core(one.work), one.of) for one in visit.removals),
        cut_outs=tuple(on_a_core(work) for work in visit.cut_outs),
        finish=elsewhere(visit.finish),
        poll=elsewhere(visit.poll),
        forget=elsewhere(visit.forget),
    )


def fleet_spec(plan: Plan, assumed: Assumptions, jobs_in_flight: float) -> ServiceSpec:
    """The planned replicas, each CPU stage's with a core of its own; `jobs_in_flight` at most in runners."""
    stages = {name: StageSpec(plan.replicas[name], PLACES[name], own_cores=1.0) for name in PLACES} | {
        name: StageSpec(plan.gpus, 1, batch, wait, assumed.launch_ms / 1000)
        for name, (batch, wait) in BATCHES.items()
    }
    return ServiceSpec(1.0, stages, max(1, math.ceil(jobs_in_flight)), gpus=plan.gpus)


def load_points(
    times: ServiceTimes,
    plan: Plan,
    demand: Demand,
    assumed: Assumptions,
    shares: Iterable[float],
    *,
    seconds: float,
    replications: int,
) -> list[LoadPoint]:
    """The same cluster at several loads; a third of `seconds` is warm-up."""
    visits = mixed(times, assumed)
    most = plan.gpus / demand.gpu_total_s
    spec = fleet_spec(plan, assumed, jobs_in_flight=16 * plan.replicas["JobRunner"])
    points = []
    for share in shares:
        rate, warm_up_s = share * most, seconds / 3
        runs = [
            simulate(
                spec,
                visits,
                Clients(arrivals=poisson(rate, seconds, random.Random(seed)), look_s=LOOK_S),
                seconds=seconds,
                seed=seed,
            )
            for seed in range(replications)
        ]
        points.append(
            LoadPoint(
                share,
                rate,
                of_replications([[run] for run in runs], warm_up_s, seconds),
                sum(run.gpu_share for run in runs) / len(runs),
                runs[-1].mean_batch,
            )
        )
    return points


def mixed(times: ServiceTimes, assumed: Assumptions) -> Sequence[Visit]:
    """Measured visits on GPUs, one and three objects in the mix's shares (to the nearest percent)."""
    visits: list[Visit] = []
    for objects, share in ((1, 1 - assumed.three_objects), (3, assumed.three_objects)):
        seen = times.visits[objects]
        visits += [visit_on_gpus(seen[i % len(seen)], assumed) for i in range(round(100 * share))]
    return visits
