"""What README says of one small machine: start, memory, seconds from tap to `ready`, preview, stop.

    python -m benchmarks.readme_figures

Starts the service as `make serve` does, with the bundled checkpoints; three minutes on an idle machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from benchmarks.customer import Customer, Point
from benchmarks.latency import Photos, idle_share, percentile, preview_seconds
from benchmarks.machine import describe_machine, family, shared_out_memory
from trials.service import LaunchedService

SIDE = 1024
LOOKED_S = 2.0  # between upload and tap
ALONE, USERS, EACH, PREVIEWS = 20, 4, 5, 31
WARM_UP = 3


def job_seconds(
    customer: Customer, visit: tuple[bytes, Sequence[Point]], objects: int, looked_s: float
) -> float:
    """Tap to `ready` of one new picture."""
    picture, taps = visit
    job_id = customer.upload(picture)
    time.sleep(looked_s)
    seconds = customer.job(job_id, taps[:objects]).seconds
    customer.forget(job_id)
    return seconds


def several_users(url: str, photos: Photos, objects: int) -> tuple[float, float]:
    """Median seconds from tap to `ready`, and jobs a minute; users tap as soon as they have uploaded."""
    drawn = photos.draw()
    visits = [[next(drawn) for _ in range(EACH)] for _ in range(USERS)]

    def use(many: Sequence[tuple[bytes, Sequence[Point]]]) -> list[float]:
        with Customer(url) as customer:
            return [job_seconds(customer, visit, objects, 0.0) for visit in many]

    started = time.perf_counter()
    with ThreadPoolExecutor(USERS) as pool:
        seconds = [value for many in pool.map(use, visits) for value in many]
    return statistics.median(seconds), 60 * len(seconds) / (time.perf_counter() - started)


def main() -> None:
    """Measure and print a line for each row."""
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe_machine()}
    print("\n".join(f"{key}: {value}" for key, value in facts.items()), flush=True)
    started = time.perf_counter()
    service = LaunchedService({})
    try:
        service.wait_until_ready()
        print(f"start to the first healthy answer: {time.perf_counter() - started:.0f} s", flush=True)
        processes = family(service.process)
        resident = sum(process.memory_info().rss for process in processes) / 2**30
        print(
            f"{len(processes)} processes; {shared_out_memory(service.process) / 1024:.1f} GiB (PSS), "
            f"{resident:.1f} GiB (RSS summed); idle {idle_share(service.process, 10.0):.2f} of a core",
            flush=True,
        )
        photos = Photos(SIDE)
        drawn = photos.draw()
        with Customer(service.url) as customer:
            for _ in range(WARM_UP):
                job_seconds(customer, next(drawn), 1, LOOKED_S)
            alone = [job_seconds(customer, next(drawn), 1, LOOKED_S) for _ in range(ALONE)]
            print(f"tap to ready: {statistics.median(alone):.2f} / {percentile(alone, 95):.2f} s", flush=True)
            for objects in (1, 3):
                median, rate = several_users(service.url, photos, objects)
                print(
                    f"{USERS} users, {objects} object(s): {median:.1f} s, {rate:.0f} jobs a minute",
                    flush=True,
                )
            shown = preview_seconds(customer, next(drawn), PREVIEWS)
            print(f"preview: {statistics.median(shown):.3f} / {percentile(shown, 95):.3f} s", flush=True)
    finally:
        stopping = time.perf_counter()
        service.stop()
        print(f"Ctrl-C to the last process gone: {time.perf_counter() - stopping:.0f} s")
        service.remove_files()


if __name__ == "__main__":
    main()
