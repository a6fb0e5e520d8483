"""`python -m trials.pictures`: hostile and exotic pictures through a running service's `/upload`.

Owns the run, what is demanded of every answer, and the table. The pictures are made in `pictures_exotic`,
`pictures_foreign`, `pictures_bombs` and `pictures_damaged`. Exit code 1 when a promise was broken or fewer
pictures were sent than were asked for.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import redis
from PIL import Image

from trials import processes
from trials.pictures_bombs import bomb_cases
from trials.pictures_case import Case, Expected
from trials.pictures_damaged import damaged_cases
from trials.pictures_exotic import exotic_cases
from trials.pictures_foreign import foreign_cases
from trials.service import STAGES, Service, running_service

GROWTH_MIB = 300  # of all processes together, during the run and after it
LONGEST_S = 25.0  # of one answer: DECODE_TIMEOUT_S and some
RESTLESS = ("PhotoIntake", "Ingress", "JobRunner", *STAGES)

_REASON = re.compile(
    r"Upload failed: (Invalid image data: (?:"
    r"the file is (?:empty|truncated or corrupt)"
    r"|the (?:JPEG|PNG|WebP|AVIF|HEIC) file is truncated or corrupt"
    r"|unidentified image file"
    r"|[\w /]+ is not supported; send one of [\w, ]+"
    r"|\d+ x \d+ is [\d.]+ megapixels, more than the limit of [\d.]+; send a smaller version"
    r"|(?:[\d.]+ megapixels|its size) is more than the limit; send a smaller version"
    r"|the texts or the profile in the file are too large; send a re-saved version"
    r"|the JPEG has \d+ scans, more than the limit of \d+; send a re-saved version"
    r"|decoding it took more than [\d.]+ s; send a smaller or re-saved version"
    r"|decoding it needs more than \d+ MB of memory; send a smaller or re-saved version"
    r"|the decoder crashed on it; send a re-saved version"
    r")|the file is larger than the limit of [\d.]+ MB)"
)
_TELLING = re.compile(r"Traceback|site-packages|\.py\b|/tmp/|/home/|/usr/|0x[0-9a-f]{6}")


@dataclass
class Row:
    """One family's part of the table."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0  # 5xx, or no answer
    slowest_s: float = 0.0
    slowest: str = ""


@dataclass
class Outcome:
    """What a run did, and every promise that it broke."""

    rows: dict[str, Row] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    growth_mib: float = 0.0
    growth_after_mib: float = 0.0
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """Pictures that were sent."""
        return sum(row.cases for row in self.rows.values())


def all_cases(*, seed: int, max_pixels: int, max_bytes: int) -> Iterator[Case]:
    """First the made ones, then damaged ones without end. Those too large to be sent are left out."""
    made = itertools.chain(
        exotic_cases(), foreign_cases(), bomb_cases(max_pixels, max_bytes), damaged_cases(seed)
    )
    return (case for case in made if len(case.data) <= max_bytes)


def short_cases(*, seed: int, max_pixels: int, max_bytes: int, a_family: int) -> Iterator[Case]:
    """The first few of every family."""
    taken: dict[str, int] = {}
    made = all_cases(seed=seed, max_pixels=max_pixels, max_bytes=max_bytes)
    for case in itertools.islice(made, 400):
        taken[case.family] = taken.get(case.family, 0) + 1
        if taken[case.family] <= a_family:
            yield case


def send_all(service: Service, cases: Iterable[Case], seconds: float) -> Outcome:
    """Upload the cases one after another, for at most `seconds`, and check what they leave behind."""
    outcome, begun = Outcome(), time.monotonic()
    with httpx.Client(base_url=service.url, timeout=90) as api, processes.redis_of(service) as connection:
        before = _kept(service, connection)
        replicas = {name: service.replicas(name) for name in RESTLESS}
        with _watched_memory(service, outcome):
            for case in cases:
                if time.monotonic() - begun > seconds:
                    break
                _send(api, case, outcome)
        _expect_nothing_left(outcome, service, connection, before)
        for name, numbers in replicas.items():
            if service.replicas(name) != numbers:
                outcome.broken.append(f"{name} was restarted")
    outcome.seconds = time.monotonic() - begun
    return outcome


def _send(api: httpx.Client, case: Case, outcome: Outcome) -> None:
    row = outcome.rows.setdefault(case.family, Row())
    row.cases += 1
    begun = time.monotonic()
    try:
        answer = api.post("/upload", files={"file": ("picture", case.data)})
    except httpx.HTTPError as error:
        row.failed += 1
        outcome.broken.append(f"{case.family}, {case.name}: no answer, {error!r}")
        return
    took = time.monotonic() - begun
    if took > row.slowest_s:
        row.slowest_s, row.slowest = took, case.name
    complaints = list(_complaints(api, case, answer, row, outcome))
    if took > LONGEST_S:
        complaints.append(f"answered after {took:.1f} s")
    outcome.broken += [f"{case.family}, {case.name}: {text}" for text in complaints]
    if answer.status_code == 200:
        job_id = answer.json()["job_id"]
        if api.delete(f"/cleanup/{job_id}").status_code != 200:
            outcome.broken.append(f"{case.family}, {case.name}: cannot be deleted")


def _complaints(
    api: httpx.Client, case: Case, answer: httpx.Response, row: Row, outcome: Outcome
) -> Iterator[str]:
    if answer.status_code >= 500:
        row.failed += 1
        yield f"{answer.status_code} {answer.text[:200]}"
        return
    if answer.status_code == 200:
        row.accepted += 1
        if case.expected is Expected.REFUSED:
            yield "was accepted"
        yield from _wrong_pixels(api, case, answer.json()["job_id"])
        return
    row.refused += 1
    detail = answer.json().get("detail", "")
    if "crashed" in detail:
        outcome.crashes.append(f"{case.family}, {case.name}")
    if "decoding it" in detail:
        outcome.limits.append(f"{case.family}, {case.name}: {detail}")
    if answer.status_code != 400:
        yield f"{answer.status_code} instead of 400"
    if case.expected is Expected.ACCEPTED:
        yield f"was refused: {detail}"
    if not _REASON.fullmatch(detail) or case.says not in detail:
        yield f"the refusal does not name the reason: {detail[:200]}"
    if _TELLING.search(answer.text):
        yield f"the refusal tells of the server: {answer.text[:200]}"


def _wrong_pixels(api: httpx.Client, case: Case, job_id: str) -> Iterator[str]:
    data = api.get(f"/download/{job_id}/original.png").content
    if b"<script" in data or b"PK\x03\x04" in data or b"<?php" in data:
        yield "what was hidden in the upload is in original.png"
    with Image.open(io.BytesIO(data), formats=["PNG"]) as stored:
        pixels = np.asarray(stored.convert("RGB"), dtype=np.int16)
    if case.pixels is None:
        return
    if pixels.shape != case.pixels.shape:
        yield f"came back as {pixels.shape[1]} x {pixels.shape[0]}"
    elif (off := float(np.abs(pixels - case.pixels).mean())) > case.tolerance:
        yield f"came back {off:.1f} levels off, {case.tolerance} are allowed"


@contextmanager
def _watched_memory(service: Service, outcome: Outcome) -> Iterator[None]:
    """Private memory of the service's processes, twice a second; a decoding child has its own limit."""
    first = {one.pid: one.private for one in processes.samples(service)}
    ended = threading.Event()
    peak = 0.0

    def growth() -> float:
        return sum(
            (one.private - first[one.pid]) / processes.MIB
            for one in processes.samples(service)
            if one.pid in first
        )

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            peak = max(peak, growth())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
    outcome.growth_mib, outcome.growth_after_mib = peak, growth()
    if peak > GROWTH_MIB:
        outcome.broken.append(f"memory grew by {peak:.0f} MiB, more than {GROWTH_MIB}")


def _kept(service: Service, connection: redis.Redis) -> set[str]:
    """What a job leaves while it lives: folders, uploads in the making and keys, but no counters."""
    keys = {key.decode() for key in connection.scan_iter(count=1000)}
    uploads = {f"upload {path.name}" for path in (service.work_dir / ".uploads").iterdir()}
    folders = {f"folder {path.name}" for path in service.work_dir.iterdir() if len(path.name) == 32}
    return uploads | folders | {key for key in keys if not re.match(r"tapcut:(stats|sweep|rate)", key)}


def _expect_nothing_left(
    outcome: Outcome, service: Service, connection: redis.Redis, before: set[str]
) -> None:
    """Wait a little for what is removed in the background, then demand that it is gone."""
    deadline = time.monotonic() + 15
    while left := _kept(service, connection) - before:
        if time.monotonic() > deadline:
            outcome.broken.append(f"{len(left)} left behind, such as {sorted(left)[:3]}")
            return
        time.sleep(0.2)


def table(outcome: Outcome) -> list[str]:
    """The outcome as lines of text."""
    head = f"{'family':22}{'cases':>6}{'accepted':>9}{'refused':>8}{'5xx':>5}{'slowest':>10}  which"
    lines = [head]
    for family, row in outcome.rows.items():
        lines.append(
            f"{family:22}{row.cases:6}{row.accepted:9}{row.refused:8}{row.failed:5}"
            f"{1000 * row.slowest_s:7.0f} ms  {row.slowest}"
        )
    rows = outcome.rows.values()
    lines.append(
        f"{'all':22}{outcome.cases:6}{sum(r.accepted for r in rows):9}{sum(r.refused for r in rows):8}"
        f"{sum(r.failed for r in rows):5}{1000 * max((r.slowest_s for r in rows), default=0):7.0f} ms"
    )
    lines.append(
        f"{outcome.seconds:.0f} s; private memory of all processes: at most {outcome.growth_mib:+.0f} MiB, "
        f"afterwards {outcome.growth_after_mib:+.0f} MiB"
    )
    lines += [f"refused by a limit of the decoding process: {one}" for one in outcome.limits]
    lines += [f"a decoder crashed, alone: {one}" for one in outcome.crashes]
    lines += [f"BROKEN: {one}" for one in outcome.broken]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run against a service of its own; answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trials.pictures", description=__doc__)
    parser.add_argument("--cases", type=int, default=1200, help="how many pictures to send")
    parser.add_argument("--seconds", type=float, default=600, help="send for at most this long")
    parser.add_argument("--seed", type=int, default=1, help="chooses where pictures are damaged")
    options = parser.parse_args(arguments)
    max_pixels, max_upload_mb = 24_000_000, 10
    settings = {"MAX_PIXELS": str(max_pixels), "MAX_UPLOAD_MB": str(max_upload_mb)}
    with running_service(settings) as service:
        cases = all_cases(seed=options.seed, max_pixels=max_pixels, max_bytes=max_upload_mb * 1_000_000)
        outcome = send_all(service, itertools.islice(cases, options.cases), options.seconds)
    print("\n".join(table(outcome)))
    if outcome.cases < options.cases:
        print(f"BROKEN: {outcome.cases} of {options.cases} pictures were sent in {options.seconds:g} s")
    return 1 if outcome.broken or outcome.cases < options.cases else 0


if __name__ == "__main__":
    sys.exit(main())
