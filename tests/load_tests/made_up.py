"""A made-up run that keeps all limits, for tests to spoil."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from load_tests.day import DAY, Persona, crowd_at, phase_at
from load_tests.limits import P95_S, SLOW_STAGE
from load_tests.records import (
    CANCELLED,
    CHECK,
    FELT,
    Crowd,
    Row,
    RowWriter,
    Sample,
    Samples,
    StageSample,
    write_samples,
)
from load_tests.run import Run

BEGAN, DAY_S, STEP_S = 1_700_000_000.0, 120, 2
REPLICAS = {
    "Ingress": (1, 1),
    "PhotoIntake": (1, 3),
    "ImageEncoder": (1, 2),
    "PromptDecoder": (1, 2),
    "MaskRefiner": (1, 2),
    SLOW_STAGE: (1, 4),
    "ResultComposer": (1, 2),
    "JobRunner": (1, 3),
}


def row(
    at: float, persona: Persona, kind: str, name: str, ms: float, job: str = "", status: int = 200
) -> Row:
    felt = kind in (FELT, CHECK)
    return Row(BEGAN + at, persona.value, kind, name, ms, 0 if felt else status, 100, job, False, "")


def good_run() -> Run:
    rows = []
    for number, ((persona, what), limit_s) in enumerate(P95_S.items()):
        for at in range(10):
            job = f"{number:02}{at:02}"
            rows.append(row(at * 10, persona, FELT, what, 500 * limit_s, job))
            if what == "tap to ready":
                rows.append(row(at * 10, persona, "POST", "/segment", 30, job))
    rows.append(row(50, Persona.CANCELLER, "POST", "/segment", 30, "cancelled"))
    rows.append(row(51, Persona.CANCELLER, CHECK, CANCELLED, 20, "cancelled"))
    crowds = [
        Crowd(
            BEGAN + at,
            DAY[phase_at(at / DAY_S)[0]].name,
            {one.value: crowd_at(at / DAY_S).count(one) for one in Persona},
        )
        for at in range(DAY_S)
    ]
    return Run(sorted(rows, key=lambda one: one.at), crowds, Samples(MACHINE, REPLICAS, tuple(_samples())))


MACHINE = {"processor": "made up", "cores": 2, "memory_gib": 8.0, "load_before": 0.1}


def _samples() -> list[Sample]:
    samples = []
    for at in range(0, DAY_S + 10, STEP_S):
        noon = DAY[phase_at(min(at / DAY_S, 1.0))[0]].name == "noon"
        busy = at < DAY_S - 4
        stages = {
            name: StageSample(least, least, cpu=0.1, rss_mib=200.0) for name, (least, _) in REPLICAS.items()
        }
        if noon:
            stages[SLOW_STAGE] = StageSample(4, 3, starting=1, cpu=1.0, rss_mib=900.0)
        samples.append(
            Sample(
                at=BEGAN + at,
                stages=stages,
                waiting=4 if noon else 0,
                running=3 if busy else 0,
                jobs={"processing": 3 if busy else 0, "ready": 0},
                ended={"ready": at, "error": 0},
                batches={"inpaint": (at, at * 1.5), "encode": (at, at), "decode": (at, at)},
                seconds={"inpaint": (at, at * 0.2)},
                cpu={"machine": 1.5, "ray": 0.2, "redis": 0.01, "load": 0.1, "sampler": 0.02},
            )
        )
    return samples


def with_last_sample(run: Run, **changes: object) -> Run:
    samples = run.taken.samples
    last = replace(samples[-1], **changes)  # type: ignore[arg-type]
    return replace(run, taken=replace(run.taken, samples=(*samples[:-1], last)))


def write(run: Run, folder: Path) -> None:
    with RowWriter(folder / "requests.csv") as writer:
        for one in run.rows:
            writer.write(one)
    with (folder / "users.csv").open("w", newline="") as file:
        users = csv.writer(file)
        users.writerow(("at", "phase", *(one.value for one in Persona)))
        users.writerows((f"{one.at:.3f}", one.phase, *one.users.values()) for one in run.crowds)
    write_samples(folder / "samples.json", run.taken)
