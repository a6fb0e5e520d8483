"""How the cost of a job grows with objects, pixels and users, and that extraction inpaints nothing.

Owns the growth tables of the service. An exponent of 1 is linear.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.customer import USUAL_POLL_S, Customer, JobSeen, Point, ready_at
from benchmarks.latency import Photos
from benchmarks.report import Goal, Section
from benchmarks.rivals import Rival

MOST = 1.1  # an exponent that is still called linear, given the noise of a few runs
EXTRACTION = ("masks", "cropped")
Say = Callable[[str], None]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Of the best fit: seconds as sizes to this power."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def last_step(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent from the last but one size to the last, where fixed costs weigh least."""
    return exponent(sizes[-2:], seconds[-2:])


def measure_objects(ours: Rival, counts: Sequence[int], runs: int, say: Say) -> Section:
    """Seconds of a job by its number of objects, removed and only extracted."""
    section = Section(
        "Growth with the number of objects (1024-px picture, embedding there; median seconds)",
        ("objects", "all outputs", "each", "extraction only", "each ", "squares inpainted"),
    )
    removed, extracted, filled = [], [], []
    with Customer(ours.url) as customer:
        for count in counts:
            jobs = [_job(customer, 1024, grid_taps(count, 1024)) for _ in range(runs)]
            alone = [_job(customer, 1024, grid_taps(count, 1024), EXTRACTION) for _ in range(runs)]
            inpainted = sum(len(spans_of(job, "inpaint")) for job in alone)
            if inpainted:
                raise RuntimeError(
                    f"an extraction-only request of {count} objects inpainted {inpainted} crops"
                )
            removed.append(statistics.median(job.seconds for job in jobs))
            extracted.append(statistics.median(job.seconds for job in alone))
            squares = statistics.median(len(spans_of(job, "inpaint")) for job in jobs)
            filled.append(squares)
            say(f"{count} objects: {removed[-1]:.2f} s, extraction {extracted[-1]:.2f} s, {squares} squares")
            each = (removed[-1] / count, extracted[-1] / count)
            section.rows.append((count, removed[-1], each[0], extracted[-1], each[1], squares))
    most = max(squares / count for squares, count in zip(filled, counts, strict=True))
    section.goals.append(Goal("squares inpainted an object, at most", most, at_most=2))
    section.goals += _goals("squares inpainted", filled, removed)
    section.goals += _goals("objects, extraction", counts, extracted)
    section.notes += [
        "An object is one square to inpaint, or two where its square shows another object: with the other in "
        "place, and without it for the picture of all. Objects grow crowded in one picture, so that squares, "
        "not objects, are what seconds are fitted to.",
        "An extraction-only request ran no inpainting: checked in every `result.json`.",
    ]
    section.values = {"objects": list(counts), "squares": filled, "seconds": removed, "extraction": extracted}
    return section


def measure_pixels(ours: Rival, sides: Sequence[int], runs: int, say: Say) -> Section:
    """Seconds of upload and job by the picture's size, one object."""
    section = Section(
        "Growth with the picture's pixels (square pictures, one object, embedding there; median seconds)",
        ("side", "megapixels", "upload", "tap to ready"),
    )
    uploads, seconds = [], []
    with Customer(ours.url) as customer:
        for side in sides:
            runs_seen = [_uploaded_job(customer, side, grid_taps(1, side)) for _ in range(runs)]
            uploads.append(statistics.median(upload_s for upload_s, _ in runs_seen))
            seconds.append(statistics.median(job.seconds for _, job in runs_seen))
            say(f"{side} px: upload {uploads[-1]:.2f} s, job {seconds[-1]:.2f} s")
            section.rows.append((side, side * side / 1e6, uploads[-1], seconds[-1]))
    pixels = [float(side * side) for side in sides]
    section.goals += _goals("pixels, upload", pixels, uploads) + _goals("pixels, job", pixels, seconds)
    section.values = {"sides": list(sides), "upload": uploads, "seconds": seconds}
    return section


def measure_users(ours: Rival, users: Sequence[int], side: int, say: Say) -> Section:
    """Seconds until all of so many users, who tap at the same moment, have their picture."""
    section = Section(
        f"Growth with users (one object of a {side}-px picture each, embedding there, all at once; seconds)",
        ("users", "all ready", "of a user", "jobs a minute", "median wait"),
    )
    totals = []
    for count in users:
        customers = [Customer(ours.url, USUAL_POLL_S) for _ in range(count)]
        ids = [customer.upload(next(Photos(side).draw())[0]) for customer in customers]
        for customer, job_id in zip(customers, ids, strict=True):
            _wait_for_embedding(customer, job_id, grid_taps(1, side)[0])
        started_at = time.time()
        with ThreadPoolExecutor(count) as pool:
            futures = [
                pool.submit(customer.job, job_id, grid_taps(1, side))
                for customer, job_id in zip(customers, ids, strict=True)
            ]
            waits = [ready_at(future.result()) - started_at for future in futures]
        totals.append(max(waits))
        for customer, job_id in zip(customers, ids, strict=True):
            customer.forget(job_id)
            customer.api.close()
        say(f"{count} users: all ready after {totals[-1]:.2f} s")
        rate = 60 * count / totals[-1]
        section.rows.append((count, totals[-1], totals[-1] / count, rate, statistics.median(waits)))
    section.goals += _goals("users", users, totals)
    section.values = {"users": list(users), "seconds": totals}
    return section


def grid_taps(count: int, side: int) -> list[Point]:
    """`count` places spread over a square picture."""
    across = int(np.ceil(np.sqrt(count)))
    return [
        ((index % across + 0.5) / across * side, (index // across + 0.5) / across * side)
        for index in range(count)
    ]


def spans_of(job: JobSeen, stage: str) -> list[dict[str, float]]:
    """When a stage worked for a job, as `result.json` tells."""
    return [span for span in job.result["seconds"]["spans"] if span["stage"] == stage]


def _job(
    customer: Customer, side: int, taps: Sequence[Point], outputs: Sequence[str] | None = None
) -> JobSeen:
    return _uploaded_job(customer, side, taps, outputs)[1]


def _uploaded_job(
    customer: Customer, side: int, taps: Sequence[Point], outputs: Sequence[str] | None = None
) -> tuple[float, JobSeen]:
    """Seconds of the upload, and a job that begins when the picture's embedding is there."""
    picture = next(Photos(side).draw())[0]
    started = time.perf_counter()
    job_id = customer.upload(picture)
    upload_s = time.perf_counter() - started
    _wait_for_embedding(customer, job_id, taps[0])
    job = customer.job(job_id, taps, outputs, detail=True)
    customer.forget(job_id)
    return upload_s, job


def _wait_for_embedding(customer: Customer, job_id: str, tap: Point) -> None:
    """A preview answers when the embedding is there."""
    body = {"job_id": job_id, "points": [list(tap)], "labels": [1]}
    customer.api.post("/preview", json=body).raise_for_status()


def _goals(what: str, sizes: Sequence[float], seconds: Sequence[float]) -> list[Goal]:
    if len(set(sizes)) < 2:
        return []
    goals = [Goal(f"{what}: exponent over all", exponent(sizes, seconds), at_most=MOST)]
    if sizes[-1] > sizes[-2]:
        goals.append(Goal(f"{what}: exponent of the last step", last_step(sizes, seconds), at_most=MOST))
    return goals
