"""`python -m trials.overload`: ten times the load that the service can serve.

Owns the run, its promises and its table. What whole jobs it can serve is measured first; then ten times as
many clients arrive each second, and each asks once: what is refused stays refused. Exit code 1 when a
promise is broken.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np

from trials.course import Course
from trials.overload_clients import CLIENTS, TAP, Client, Overload
from trials.service import Service, running_service
from trials.soak import Sampler

TIMES_CAPACITY = 10
SERVED_SHARE = 0.5  # of the capacity; the rest goes into refusals, and into the clients on this machine
REFUSED_WITHIN_S, ANSWERED_WITHIN_S, MEMORY_MIB, BACK_WITHIN_S = 1.0, 2.0, 300.0, 10.0


def overload(service: Service, *, limit: int, seconds: float) -> Overload:
    """Measure `service`, whose queue holds `limit` jobs, then offer it ten times that for `seconds`."""
    seen, before = Overload(limit), _job_folders(service)
    client, course = Client(service.url, seen), Course()
    with client.api:
        seen.capacity = _capacity(client, seconds=min(60.0, seconds / 3))
        seen.waits.clear()
        seen.ends.clear()
        rate = TIMES_CAPACITY * seen.capacity
        print(
            f"{seen.capacity:.2f} jobs a second at most; {rate:.1f} offered for {seconds:.0f} s", flush=True
        )
        with Sampler(service, course, every_s=2):
            _offer(client, seen, rate, seconds)
        seen.grown_mib = _growth(course)
        seen.back_s = _time_to_normal(client)
        _check_kept(client, seen)
        seen.strays = len(_job_folders(service) - before - set(seen.kept))
        for job_id in seen.kept:
            client.api.delete(f"/cleanup/{job_id}")
    return seen


def _job_folders(service: Service) -> set[str]:
    return {path.name for path in service.work_dir.iterdir() if len(path.name) == 32}


def _capacity(client: Client, seconds: float) -> float:
    client.job(0)
    ends, numbers, lock = time.monotonic() + seconds, itertools.count(), threading.Lock()

    def work() -> int:
        done = 0
        while time.monotonic() < ends:
            with lock:
                number = next(numbers)
            done += client.job(number)
        return done

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        done = sum(future.result() for future in [pool.submit(work) for _ in range(8)])
    return done / (time.monotonic() - started)


def _offer(client: Client, seen: Overload, rate: float, seconds: float) -> None:
    stop, free = threading.Event(), threading.Semaphore(CLIENTS)

    def arrive(number: int) -> None:
        try:
            client.job(number)
        finally:
            free.release()

    probes = [threading.Thread(target=_probe, args=(client, seen, name, stop)) for name in seen.probes]
    for probe in probes:
        probe.start()
    offered, started = 0, time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in itertools.count():
            due = started + number / rate
            if due > started + seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            if free.acquire(blocking=False):
                pool.submit(arrive, number)
                offered += 1
            else:
                seen.busy_clients += 1
        seen.offered = offered / (time.monotonic() - started)
        seen.served = len(seen.waits) / (time.monotonic() - started)
    stop.set()
    for probe in probes:
        probe.join()


def _probe(client: Client, seen: Overload, name: str, stop: threading.Event) -> None:
    path = "/health" if name == "health" else f"/status/{'0' * 32}"
    while not stop.wait(0.5):
        started = time.perf_counter()
        try:
            code = client.api.get(path).status_code
        except httpx.HTTPError as error:
            seen.faults.append(f"{path}: {error!r}")
            continue
        seen.probes[name].append(time.perf_counter() - started)
        if code != (200 if name == "health" else 404):
            seen.faults.append(f"{path} answers {code}")


def _growth(course: Course) -> float:
    """MiB by which all processes together grew from the first tenth of the samples to their end."""
    total: defaultdict[float, float] = defaultdict(float)
    for (unit, _), points in course.series.items():
        if unit == "resident MiB":
            for at, value in points:
                total[at] += value
    values = [total[at] for at in sorted(total)]
    return float(max(values[len(values) // 10 :]) - values[len(values) // 10])


def _time_to_normal(client: Client) -> float:
    started = time.monotonic()
    while not client.job(0):
        assert time.monotonic() - started < 120, "the service does not come back after the load"
        time.sleep(0.2)
    return time.monotonic() - started


def _check_kept(client: Client, seen: Overload) -> None:
    """What was uploaded and then refused is as it was, and can be tried again."""
    for job_id in seen.kept:
        status = client.api.get(f"/status/{job_id}").json()
        if status.get("status") != "uploaded" or status.get("files") != ["original.png"]:
            seen.faults.append(f"a job refused by /segment is {status}")
    for job_id in seen.kept[:3]:
        code = client.api.post("/segment", params={"job_id": job_id}, json=TAP).status_code
        if code != 200:
            seen.faults.append(f"a job that was refused cannot be tried again: {code}")


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95)) if values else 0.0


def broken_promises(seen: Overload) -> Iterator[str]:
    """What was promised and did not hold, one line each."""
    if not seen.waits or not seen.refusals:
        yield f"no overload: {len(seen.waits)} accepted, {len(seen.refusals)} refused"
    if set(seen.ends) - {"ready"}:
        yield f"accepted jobs ended otherwise than ready: {dict(seen.ends)}"
    if seen.served < SERVED_SHARE * seen.capacity:
        yield f"{seen.served:.2f} jobs a second under load, of {seen.capacity:.2f} without: below half"
    if _p95(seen.waits) > seen.bound_s:
        yield f"p95 of accepted jobs {_p95(seen.waits):.1f} s, above the bound of {seen.bound_s:.1f} s"
    if _p95(seen.refusals) > REFUSED_WITHIN_S:
        yield f"p95 of refusals {_p95(seen.refusals):.2f} s, above {REFUSED_WITHIN_S:g} s"
    for name, values in seen.probes.items():
        if not values or _p95(values) > ANSWERED_WITHIN_S:
            yield f"p95 of /{name} {_p95(values):.2f} s ({len(values)} calls), above {ANSWERED_WITHIN_S:g} s"
    if seen.grown_mib > MEMORY_MIB:
        yield f"memory of all processes grew by {seen.grown_mib:.0f} MiB, above {MEMORY_MIB:g}"
    if seen.back_s > BACK_WITHIN_S:
        yield f"a job took {seen.back_s:.1f} s after the load had ended, above {BACK_WITHIN_S:g} s"
    if seen.strays:
        yield f"{seen.strays} folders of refused uploads were left behind"
    yield from seen.faults[:20]
    if len(seen.faults) > 20:
        yield f"... and {len(seen.faults) - 20} more faults"


def table(seen: Overload) -> Iterator[str]:
    """The run as lines of text."""
    accepted = seen.waits or [0.0]
    rows = {
        "served at most, jobs a second": f"{seen.capacity:.2f}",
        "offered, jobs a second": f"{seen.offered:.2f}",
        "served under the load": f"{seen.served:.2f}",
        "not offered, all clients busy": f"{seen.busy_clients}",
        "accepted, and how they ended": f"{len(seen.waits)} {dict(seen.ends)}",
        "accepted p50 / p95 / bound, s": f"{np.median(accepted):.1f} / {_p95(accepted):.1f}"
        f" / {seen.bound_s:.1f}",
        "Retry-After p50 / largest, s": f"{np.median(seen.retry_after or [0]):.0f}"
        f" / {max(seen.retry_after, default=0)}",
        "memory of all processes, MiB": f"{seen.grown_mib:+.0f}",
        "first job after the load, s": f"{seen.back_s:.1f}",
    }
    for name, values in seen.refused.items():
        rows[f"{name} refused, p50 / p95, s"] = (
            f"{len(values)}, {np.median(values or [0.0]):.3f} / {_p95(values):.3f}"
        )
    for name, values in seen.probes.items():
        rows[f"/{name} p50 / p95, s"] = f"{np.median(values or [0.0]):.3f} / {_p95(values):.3f}"
    for name, text in rows.items():
        yield f"{name:34}{text}"


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trials.overload", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=180, help="of overload (default 180)")
    parser.add_argument("--queue", type=int, default=32, help="MAX_QUEUED_JOBS of the service (default 32)")
    options = parser.parse_args(arguments)
    with running_service({"MAX_QUEUED_JOBS": str(options.queue)}) as service:
        seen = overload(service, limit=options.queue, seconds=options.seconds)
    print("\n".join(table(seen)))
    broken = list(broken_promises(seen))
    print("\nall promises kept" if not broken else "\nBROKEN:\n" + "\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
