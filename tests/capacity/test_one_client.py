"""A visit that was measured becomes steps which take as long, and cost as much, as it did."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import psutil
import pytest

from capacity.one_client import STAGE_WEIGHT, Call, Probe, cores_in_use, fills_of, step, visits_of
from capacity.processor_time import CLIENT, ProcessorTime
from capacity.service_times import LOCAL_STAGES
from capacity.simulation import Clients, ServiceSpec, simulate
from capacity.visitor import Tapped

SPANS = [
    {"stage": "decode", "start": 0.10, "seconds": 0.05},
    {"stage": "refine", "start": 0.20, "seconds": 0.10},
    {"stage": "inpaint", "start": 0.35, "seconds": 0.50},
    {"stage": "cut_out", "start": 0.36, "seconds": 0.10},
    {"stage": "compose", "start": 0.87, "seconds": 0.08},
]
JOB = {
    "PromptDecoder": 0.09,
    "MaskRefiner": 0.10,
    "LamaInpainter": 0.95,
    "ResultComposer": 0.16,
    "JobRunner": 0.05,
    "Ingress": 0.05,
}
PROBE = Probe(
    1,
    upload_s=0.15,
    embed_s=0.10,
    upload={"PhotoIntake": 0.06, "Ingress": 0.02, "ImageEncoder": 0.12},
    job=JOB,
    tapped=Tapped(100.0, 100.02, 101.03, 1, {}),
    told={"began_at": 100.03, "spans": SPANS},
)
POLL, FORGET = Call(0.02, {"Ingress": 0.01}), Call(0.02, {"Ingress": 0.01})


def test_steps_cost_what_was_measured() -> None:
    (visit,) = visits_of([PROBE], cores_in_use([PROBE]), POLL, FORGET, put_s=0.002)
    assert visit.job_core_s == pytest.approx(sum(JOB.values()) - POLL.core_s, rel=0.01)
    assert visit.fills[0].work.threads == pytest.approx(0.95 / 0.5)
    assert visit.fills[0].work.weight == STAGE_WEIGHT < 1.0
    assert visit.encode.core_s == pytest.approx(0.12)
    assert visit.receive.alone_s + visit.intake.alone_s == pytest.approx(0.15)


def test_simulated_alone_it_takes_as_long_as_it_did() -> None:
    (visit,) = visits_of([PROBE], cores_in_use([PROBE]), POLL, FORGET, put_s=0.002)
    spec = ServiceSpec(4.0, LOCAL_STAGES, 3)
    (job,) = simulate(spec, [visit], Clients(arrivals=[0.0]), seconds=20, seed=0).jobs
    assert job.ready is not None
    assert job.ready - job.tapped == pytest.approx(1.03, rel=0.03)


def test_a_second_look_is_made_of_its_own_spans_and_takes_as_long_as_it_did() -> None:
    looking = [
        {"stage": "decode", "start": 0.10, "seconds": 0.05},
        {"stage": "refine", "start": 0.20, "seconds": 0.05},
        {"stage": "encode", "start": 0.27, "seconds": 0.10},
        {"stage": "decode", "start": 0.38, "seconds": 0.04},
        {"stage": "refine", "start": 0.44, "seconds": 0.06},
        *({**span, "start": span["start"] + 0.20} for span in SPANS[2:]),
    ]
    tapped = replace(PROBE.tapped, ready_at=PROBE.tapped.ready_at + 0.20)
    job = {**JOB, "ImageEncoder": 0.15}
    probe = replace(PROBE, tapped=tapped, told={"began_at": 100.03, "spans": looking}, job=job)
    (visit,) = visits_of([probe], cores_in_use([probe]), POLL, FORGET, put_s=0.002)
    (look,) = visit.looks
    assert look.encode.core_s == pytest.approx(0.15) and look.encode.in_step
    assert look.decode.core_s == pytest.approx(JOB["PromptDecoder"] * 4 / 9)
    assert visit.refine_again.core_s == pytest.approx(JOB["MaskRefiner"] * 6 / 11)
    assert visit.job_core_s == pytest.approx(sum(job.values()) - POLL.core_s, rel=0.01)
    spec = ServiceSpec(4.0, LOCAL_STAGES, 3)
    (seen,) = simulate(spec, [visit], Clients(arrivals=[0.0]), seconds=20, seed=0).jobs
    assert seen.ready is not None
    assert seen.ready - seen.tapped == pytest.approx(1.23, rel=0.03)


def test_step_with_more_processor_time_than_time_has_several_threads() -> None:
    assert step(0.1, 0.15).threads == pytest.approx(1.5)
    assert step(0.1, 0.04).wait_s == pytest.approx(0.06)
    assert step(0.1, 0.04).alone_s == step(0.1, 0.15).alone_s == pytest.approx(0.1)


def test_each_picture_waits_for_its_own_fill_and_the_last_for_all() -> None:
    assert [fills_of(number, 4, 4) for number in range(4)] == [(0,), (1,), (2,), (0, 1, 2, 3)]
    assert fills_of(0, 1, 1) == (0,)


def test_processor_time_of_a_busy_process_is_found_and_told_apart() -> None:
    clock = ProcessorTime(psutil.Process(os.getpid()))
    ends = time.process_time() + 0.3
    while time.process_time() < ends:
        pass
    spent = clock.lap()
    assert spent.by_part[CLIENT] == pytest.approx(0.3, abs=0.15)
    assert spent.service < 0.1  # a Redis of other tests may be this process's child
    assert clock.lap().by_part[CLIENT] < 0.1
