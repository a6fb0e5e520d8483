"""How long a user waits, on both servers: tap to ready, a preview, an embedding; and how many users fit.

Owns these sections of the side-by-side table. The client, the pictures and the run are the same for both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.customer import USUAL_POLL_S, Customer, JobSeen, Point
from benchmarks.machine import MemoryWatch, processor_seconds, shared_out_memory
from benchmarks.report import Goal, Section
from benchmarks.rivals import Rival
from trials.scenes import OBJECTS, photo

UPLOADED_BEFORE_S = 3.0
SMALL_SIDE = 256
Say = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """How much of everything a run measures."""

    side: int = 1024
    plain_jobs: int = 5
    plain_jobs_of_three: int = 3
    our_jobs: int = 12
    users: int = 8
    user_side: int = 1024
    user_rounds: int = 4  # of ours; the plain server gets one
    previews: int = 60


@dataclass(frozen=True)
class Photos:
    """Pictures that no server has seen before: drawn ones, or a folder's with a mark of their own."""

    side: int
    folder: Path | None = None

    def draw(self) -> Iterator[tuple[bytes, Sequence[Point]]]:
        """Encoded picture and where its objects are, pixels of `original.png`."""
        seed = time.time_ns() % 2**31
        files = sorted(path for path in self.folder.iterdir() if path.is_file()) if self.folder else []
        while True:
            seed += 1
            if not files:
                taps = [(x * self.side, y * self.side) for x, y in OBJECTS]
                yield photo(self.side, self.side, "JPEG", seed), taps
            else:
                yield _marked(files[seed % len(files)], self.side, seed)


def _marked(path: Path, side: int, seed: int) -> tuple[bytes, Sequence[Point]]:
    import io

    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    picture.thumbnail((side, side))
    picture.putpixel((0, 0), (seed & 255, seed >> 8 & 255, seed >> 16 & 255))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # a JPEG would lose the mark
    return buffer.getvalue(), [(x * picture.width, y * picture.height) for x, y in OBJECTS]


def percentile(values: Sequence[float], share: float) -> float:
    """Of single values, interpolated."""
    return float(np.percentile(values, share)) if values else float("nan")


def measure_latency(
    plain: Rival, ours: Rival, course: Course, photos: Photos, say: Say
) -> tuple[Section, list[JobSeen]]:
    """Tap to ready for one and three objects, the two servers in turns; our jobs with one object as well."""
    section = Section(
        f"Tap to ready, {photos.side}-px picture uploaded {UPLOADED_BEFORE_S:g} s before (seconds)",
        ("objects", "server", "jobs", "p50", "p95", "shortest", "times faster (p50)", "CPU s a job"),
    )
    section.notes.append(
        "p95 of fewer than 20 jobs is close to the longest of them. CPU seconds are those of all processes "
        "of the server from tap to ready."
    )
    kept: list[JobSeen] = []
    with Customer(plain.url) as at_plain, Customer(ours.url) as at_ours:
        for objects, jobs, goal in ((1, course.plain_jobs, 12.0), (3, course.plain_jobs_of_three, 9.0)):
            seen: dict[str, list[JobSeen]] = {plain.name: [], ours.name: []}
            spent: dict[str, list[float]] = {plain.name: [], ours.name: []}
            drawn = photos.draw()
            for turn in range(max(jobs, course.our_jobs)):
                for rival, customer, wanted in ((plain, at_plain, jobs), (ours, at_ours, course.our_jobs)):
                    # As many turns apart as they need, so that both see the whole run's weather.
                    if turn * wanted // max(jobs, course.our_jobs) < len(seen[rival.name]):
                        continue
                    job, cpu = _one(rival, customer, *next(drawn), objects)
                    seen[rival.name].append(job)
                    spent[rival.name].append(cpu)
                    say(f"{objects} object(s), {rival.name}: {job.seconds:.2f} s")
            _add_rows(section, objects, plain.name, ours.name, seen, spent, goal)
            if objects == 1:
                kept = seen[ours.name]
                _note_second_run(section, seen[plain.name], seen[ours.name])
    return section, kept


def our_job(ours: Rival, photos: Photos) -> JobSeen:
    """One job with one object, its picture uploaded a while before."""
    with Customer(ours.url) as customer:
        return _one(ours, customer, *next(photos.draw()), 1)[0]


def _one(
    rival: Rival, customer: Customer, picture: bytes, taps: Sequence[Point], objects: int
) -> tuple[JobSeen, float]:
    job_id = customer.upload(picture)
    time.sleep(UPLOADED_BEFORE_S)
    before = processor_seconds(rival.process)
    job = customer.job(job_id, taps[:objects], detail=True)
    cpu = processor_seconds(rival.process) - before
    customer.forget(job_id)
    return job, cpu


def _add_rows(
    section: Section,
    objects: int,
    plain: str,
    ours: str,
    seen: dict[str, list[JobSeen]],
    spent: dict[str, list[float]],
    goal: float,
) -> None:
    seconds = {name: [job.seconds for job in jobs] for name, jobs in seen.items()}
    ratios = {
        share: percentile(seconds[plain], share) / percentile(seconds[ours], share) for share in (50, 95)
    }
    for name, values in seconds.items():
        section.rows.append(
            (
                *(objects, name, len(values), percentile(values, 50), percentile(values, 95), min(values)),
                ratios[50] if name == ours else None,
                statistics.median(spent[name]),
            )
        )
    many = f"{objects} object{'s' if objects > 1 else ''}"
    section.goals += [
        Goal(f"{many}, p50, times faster", ratios[50], at_least=goal),
        Goal(f"{many}, p95, times faster", ratios[95], at_least=goal),
    ]
    section.values[f"{objects} objects"] = seconds


def _note_second_run(section: Section, plain: Sequence[JobSeen], ours: Sequence[JobSeen]) -> None:
    """What remains of the ratio for a plain server that inpaints a lone object only once."""
    once = [job.seconds - job.status["seconds"]["inpaint all"] for job in plain]
    ratio = statistics.median(once) / percentile([job.seconds for job in ours], 50)
    section.notes.append(
        "The plain server inpaints a lone object twice, alone and as all of them. One that copied the file "
        f"would take {statistics.median(once):.1f} s: {ratio:.1f} times as long as ours."
    )
    section.values["plain server, one object inpainted once"] = once
    steps = {
        step: statistics.median(job.status["seconds"][step] for job in plain)
        for step in plain[0].status["seconds"]
    }
    section.notes.append(
        "The plain server's steps for one object, median seconds: "
        + ", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items())
        + "."
    )
    section.values["plain server's steps"] = steps


def measure_preview(plain: Rival, ours: Rival, course: Course, photos: Photos, say: Say) -> Section:
    """A mask at once on a picture whose embedding exists, and how soon it exists after an upload."""
    section = Section("Preview and embedding (milliseconds)", ("what", "server", "count", "p50", "p95"))
    drawn = photos.draw()
    with Customer(plain.url) as at_plain, Customer(ours.url) as at_ours:
        encode, masks, ready = [], [], []
        # The encoder sees 1024 x 1024 pixels whatever the picture, and this architecture inpaints all of it.
        small = Photos(SMALL_SIDE).draw()
        # In turns, so that both see the whole run's weather.
        for _ in range(5):
            picture, taps = next(small)
            job_id = at_plain.upload(picture)
            steps = at_plain.job(job_id, taps[:1]).status["seconds"]
            encode.append(1000 * steps["encode"])
            masks.append(1000 * (steps["encode"] + steps["decode"]))
            at_plain.forget(job_id)
            picture, taps = next(drawn)
            job_id = at_ours.upload(picture)
            ready.append(1000 * _until_embedded(ours))
            at_ours.forget(job_id)
        say(
            f"plain server's encode {statistics.median(encode):.0f} ms, our embedding after "
            f"{statistics.median(ready):.0f} ms"
        )
        previews = [1000 * seconds for seconds in preview_seconds(at_ours, next(drawn), course.previews)]
        say(f"preview p50 {percentile(previews, 50):.0f} ms, p95 {percentile(previews, 95):.0f} ms")
    for what, name, values in (
        ("encode, inside the job", plain.name, encode),
        ("embedding ready after /upload has answered", ours.name, ready),
        ("a tap's mask, encode and decode", plain.name, masks),
        ("/preview over HTTP, embedding exists", ours.name, previews),
    ):
        section.rows.append((what, name, len(values), percentile(values, 50), percentile(values, 95)))
        section.values[f"{name}: {what}"] = values
    section.goals += [
        Goal("preview p50, ms", percentile(previews, 50), at_most=100),
        Goal("preview p95, ms", percentile(previews, 95), at_most=200),
        Goal(
            "upload to embedding, share of the plain server's encode",
            statistics.median(ready) / statistics.median(encode),
            at_most=0.25,
        ),
    ]
    return section


def preview_seconds(customer: Customer, visit: tuple[bytes, Sequence[Point]], count: int) -> list[float]:
    """Of each of `count` previews of one new picture, around its objects; three more before them warm up."""
    picture, taps = visit
    job_id = customer.upload(picture)
    seconds = []
    for number in range(count + 3):
        x, y = taps[number % len(taps)]
        body = {"job_id": job_id, "points": [[x + number % 7, y + number % 5]], "labels": [1]}
        started = time.perf_counter()
        customer.api.post("/preview", json=body).raise_for_status()
        seconds.append(time.perf_counter() - started)
    customer.forget(job_id)
    return seconds[3:]


def _until_embedded(ours: Rival) -> float:
    """Seconds from now to the moment at which the newest embedding was stored; it may have been before."""
    assert ours.embeddings is not None
    answered_at = time.time()
    deadline = answered_at + 120
    while time.time() < deadline:
        newest = max((path.stat().st_ctime for path in ours.embeddings.glob("*.npy")), default=0.0)
        # An upload answers when the picture is stored; the encoder has not had time to finish before that.
        if newest > answered_at - 0.05:
            return newest - answered_at
        time.sleep(0.05)  # what is measured is when the file was written
    raise RuntimeError("no embedding appears after an upload")


def measure_throughput(plain: Rival, ours: Rival, course: Course, folder: Path | None, say: Say) -> Section:
    """Jobs a minute with several users at once, one object each, and the memory of all processes."""
    section = Section(
        f"{course.users} users at once, one object of a {course.user_side}-px picture",
        ("server", "jobs", "jobs a minute", "times as many", "MiB idle", "MiB at most", "idle CPU share"),
    )
    section.notes.append(
        "Each user polls every second, as the brief's client does. MiB of all processes together, shared "
        "pages counted in part (PSS)."
    )
    rates, memory = {}, {}
    for rival, rounds in ((plain, 1), (ours, course.user_rounds)):
        idle, share = shared_out_memory(rival.process), idle_share(rival.process)
        with MemoryWatch(rival.process) as watch:
            rates[rival.name] = _rate(rival, course, folder, rounds)
        memory[rival.name] = watch.most
        say(f"{rival.name}: {60 * rates[rival.name]:.1f} jobs a minute, {watch.most:.0f} MiB")
        ratio = rates[ours.name] / rates[plain.name] if rival is ours else None
        jobs, minute = course.users * rounds, 60 * rates[rival.name]
        section.rows.append((rival.name, jobs, minute, ratio, idle, watch.most, share))
        section.values[f"{rival.name} idle MiB"] = idle
    section.goals += [
        Goal("times as many jobs a minute", rates[ours.name] / rates[plain.name], at_least=8),
        Goal("memory at most, times the plain server's", memory[ours.name] / memory[plain.name], at_most=1.5),
    ]
    idle_ratio = section.values[f"{ours.name} idle MiB"] / section.values[f"{plain.name} idle MiB"]
    section.notes.append(f"Idle, ours holds {idle_ratio:.1f} times the plain server's memory.")
    return section


def idle_share(root: psutil.Process, seconds: float = 5.0) -> float:
    """Cores that a server uses while nobody asks for anything."""
    before = processor_seconds(root)
    time.sleep(seconds)
    return (processor_seconds(root) - before) / seconds


def _rate(rival: Rival, course: Course, folder: Path | None, rounds: int) -> float:
    drawn = Photos(course.user_side, folder).draw()
    pictures = [[next(drawn) for _ in range(rounds)] for _ in range(course.users)]

    def use(visits: Sequence[tuple[bytes, Sequence[Point]]]) -> None:
        with Customer(rival.url, USUAL_POLL_S) as customer:
            for picture, taps in visits:
                job_id = customer.upload(picture)
                customer.job(job_id, taps[:1])
                customer.forget(job_id)

    started = time.perf_counter()
    with ThreadPoolExecutor(course.users) as pool:
        for future in [pool.submit(use, visits) for visits in pictures]:
            future.result()
    return course.users * rounds / (time.perf_counter() - started)
