"""Service times as one client alone sees them, on the running service.

Owns the splitting of a visit into the simulation's steps: when a stage worked is told by `result.json`,
how much processor time it took by its process. What no stage's process spent belongs to the hops between
stages, by their length.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capacity.jobs import Fill, Look, Removal, Visit
from capacity.processor_time import CLIENT, ProcessorTime, Spent
from capacity.processors import Work
from capacity.simulation import ON_GPU
from capacity.visitor import Tapped, Visitor
from engine.priority import NICENESS
from trials.service import Service

STAGE_OF_SPAN = {
    "encode": "ImageEncoder",
    "decode": "PromptDecoder",
    "refine": "MaskRefiner",
    "inpaint": "LamaInpainter",
    "cut_out": "ResultComposer",
    "compose": "ResultComposer",
}
STAGES = tuple(dict.fromkeys(STAGE_OF_SPAN.values()))
# A nicer process gets less of a core that others want too: Linux's weights fall by a quarter each step.
STAGE_WEIGHT = 1.25**-NICENESS
EMBEDDED_WITHIN_S = 60.0
SETTLE_S = 0.3  # after an upload, until nothing of it is still at work


@dataclass(frozen=True, slots=True)
class Probe:
    """One visit with its clocks. Core-seconds are over the idle service's, by part."""

    objects: int
    upload_s: float
    embed_s: float
    upload: Mapping[str, float]
    job: Mapping[str, float]
    tapped: Tapped
    told: Mapping[str, Any]  # `seconds` of result.json


@dataclass(frozen=True, slots=True)
class Call:
    """A call without a job's work: seconds, and core-seconds by part of the service and of the client."""

    seconds: float
    parts: Mapping[str, float]

    @property
    def core_s(self) -> float:
        """Service and client together, over the idle service; never below nothing."""
        return max(0.0, sum(self.parts.values()))

    @property
    def work(self) -> Work:
        """As a step of the simulation."""
        return step(self.seconds, self.core_s)


def step(seconds: float, core_s: float) -> Work:
    """Work that takes `seconds` on idle cores and `core_s` of them."""
    if core_s >= seconds:
        return Work(core_s, threads=max(1.0, core_s / max(seconds, 1e-6)))
    return Work(core_s, wait_s=seconds - core_s)


class OneClient:
    """Measures one running service, one call after the other."""

    def __init__(self, service: Service, idle_s: float = 4.0) -> None:
        self._service = service
        self._clock = ProcessorTime(service.process)
        self.visitor = Visitor(service.url, poll_s=0.05)
        time.sleep(idle_s)
        idle = self._clock.lap()
        self.background = {part: spent / idle.seconds for part, spent in idle.by_part.items()}
        self.background_cores = sum(value for part, value in self.background.items() if part != CLIENT)
        self.foreign_cores = idle.foreign / idle.seconds
        self.files: Counter[str] = Counter()  # bytes of the last job's folder

    def probe(self, picture: bytes, objects: int, **body: Any) -> Probe:
        """One visit, everything of the upload ended before the tap."""
        visitor, service = self.visitor, self._service
        embeddings = service.work_dir / ".embeddings"
        before = set(embeddings.glob("*.npy"))
        self._clock.lap()
        began = time.perf_counter()
        job_id = visitor.upload(picture)
        upload_s = time.perf_counter() - began
        wait_for(lambda: bool(set(embeddings.glob("*.npy")) - before), EMBEDDED_WITHIN_S)
        embed_s = time.perf_counter() - began - upload_s
        time.sleep(SETTLE_S)
        upload = self._over_idle(self._clock.lap())
        tapped = tap_unpolled(service, visitor, job_id, objects, **body)
        job = self._over_idle(self._clock.lap())
        told = visitor.api.get(f"/download/{job_id}/result.json").raise_for_status().json()["seconds"]
        folder = service.work_dir / job_id
        self.files = Counter({path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()})
        visitor.forget(job_id)
        return Probe(objects, upload_s, embed_s, upload, job, tapped, told)

    def calls(self, call: Callable[[], object], count: int) -> Call:
        """The mean of `count` calls."""
        self._clock.lap()
        for _ in range(count):
            call()
        spent = self._clock.lap()
        parts = {part: value / count for part, value in self._over_idle(spent).items()}
        return Call(spent.seconds / count, parts)

    def _over_idle(self, spent: Spent) -> dict[str, float]:
        idle = self.background
        return {part: value - idle.get(part, 0.0) * spent.seconds for part, value in spent.by_part.items()}


def tap_unpolled(service: Service, visitor: Visitor, job_id: str, objects: int, **body: Any) -> Tapped:
    """One job; its result file is waited for, which costs the service nothing, as polls would."""
    result = service.work_dir / job_id / "a1" / "result.json"
    return visitor.tap(job_id, objects, lambda: wait_for(result.exists, 120.0), **body)


def wait_for(happened: Callable[[], bool], within_s: float) -> None:
    """Look every 4 ms, as long as it may take.

    Raises:
        TimeoutError: it has not happened.
    """
    ends = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > ends:
            raise TimeoutError(f"nothing within {within_s:g} s")
        time.sleep(0.004)


def mean_parts(probes: Sequence[Probe], of: Callable[[Probe], Mapping[str, float]]) -> dict[str, float]:
    """Mean core-seconds by part; what is below nothing after the idle share was taken off is nothing."""
    return {part: max(0.0, mean) for part, mean in mean_by_part([of(probe) for probe in probes]).items()}


def mean_by_part(many: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each part; one that is absent counts as nothing."""
    parts = sorted({part for one in many for part in one})
    return {part: statistics.fmean(one.get(part, 0.0) for one in many) for part in parts}


def cores_in_use(probes: Sequence[Probe]) -> dict[str, float]:
    """Core-seconds of each stage's process over the seconds in which it worked.

    Processor time has ticks of 10 ms, so this is a mean over all probes.
    """
    job = mean_parts(probes, lambda one: one.job)
    spans: dict[str, list[float]] = defaultdict(list)
    for probe in probes:
        for stage, seconds in _seconds_by_stage(probe).items():
            spans[stage].append(seconds)
    return {stage: job.get(stage, 0.0) * len(probes) / sum(many) for stage, many in spans.items()}


def visits_of(
    probes: Sequence[Probe], threads: Mapping[str, float], poll: Call, forget: Call, put_s: float
) -> list[Visit]:
    """The steps of each probe.

    `threads`: the most cores that a stage was seen to use, of jobs of any size: in one with several objects
    stages take cores from each other. `put_s`: a synced write of a file, seconds without a core.
    """
    upload, job = mean_parts(probes, lambda one: one.upload), mean_parts(probes, lambda one: one.job)
    ratio = cores_in_use(probes)
    polls = statistics.fmean(probe.tapped.polls for probe in probes)
    others = sum(spent for part, spent in job.items() if part not in STAGES)
    between = max(0.0, others - polls * poll.core_s)
    return [_visit(probe, upload, ratio, threads, between, poll, forget, put_s) for probe in probes]


def _seconds_by_stage(probe: Probe) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for span in probe.told["spans"]:
        if span["stage"] in STAGE_OF_SPAN:
            seconds[STAGE_OF_SPAN[span["stage"]]] += span["seconds"]
    return seconds


def _visit(
    probe: Probe,
    upload: Mapping[str, float],
    ratio: Mapping[str, float],
    threads: Mapping[str, float],
    between: float,
    poll: Call,
    forget: Call,
    put_s: float,
) -> Visit:
    began_at = probe.told["began_at"]
    spans = [(one["stage"], began_at + one["start"], one["seconds"]) for one in probe.told["spans"]]

    def work(stage: str, seconds: float) -> Work:
        name, wait_s = STAGE_OF_SPAN[stage], put_s if stage in ("cut_out", "compose") else 0.0
        cores = max(1.0, threads[name])
        return Work(seconds * ratio[name], cores, min(wait_s, seconds), STAGE_WEIGHT, name in ON_GPU)

    def all_of(stage: str) -> list[tuple[float, float]]:
        return sorted((start, start + seconds) for name, start, seconds in spans if name == stage)

    # The picture itself was encoded before the tap: what is encoded in the job is a second look.
    encoded, decoded, refined = all_of("encode"), all_of("decode"), all_of("refine")
    (decode_from, decode_to), *looked = decoded or [(0.0, 0.0)]
    (refine_from, refine_once), *again = refined or [(0.0, 0.0)]
    refine_to = again[-1][1] if again else refine_once
    looks = tuple(
        Look(work("encode", one[1] - one[0]), work("decode", other[1] - other[0]))
        for one, other in zip(encoded, looked, strict=False)
    )
    looking = max(end for _, end in looked) - min(start for start, _ in encoded) if looks else 0.0
    written = [start for name, start, _ in spans if name in ("inpaint", "cut_out")]
    last = max(start + seconds for _, start, seconds in spans)
    compose_hop = _hop(spans)
    gaps = {
        "accept": probe.tapped.accepted_at - probe.tapped.tapped_at,
        "pick_up": began_at - probe.tapped.accepted_at,
        "to_decoder": decode_from - began_at,
        "to_refiner": refine_from - decode_to,
        "to_looks": again[0][0] - refine_once - looking if again else 0.0,
        "to_writers": min(written, default=refine_to) - refine_to,
        "finish": probe.tapped.ready_at - last,
    }
    gaps = {name: max(0.0, gap) for name, gap in gaps.items()}
    hops = [(seconds, name) for name, _, seconds in spans if name == "compose"]
    total = sum(gaps.values()) + compose_hop * len(hops) or 1.0
    steps = {name: step(gap, between * gap / total) for name, gap in gaps.items()}
    fills = [seconds for name, _, seconds in spans if name == "inpaint"]
    removals = [
        _after_hop(work("compose", seconds), compose_hop, between * compose_hop / total)
        for seconds, _ in hops
    ]
    intake = upload.get("PhotoIntake", 0.0)
    rest = sum(spent for part, spent in upload.items() if part not in ("PhotoIntake", "ImageEncoder"))
    return Visit(
        objects=probe.objects,
        receive=step(max(probe.upload_s - intake, rest / 2), rest),
        intake=Work(intake),
        encode=_of_a_network(step(probe.embed_s, upload.get("ImageEncoder", 0.0))),
        decode=work("decode", decode_to - decode_from),
        refine=work("refine", refine_once - refine_from),
        looks=looks,
        refine_again=work("refine", sum(end - start for start, end in again)),
        fills=tuple(Fill(work("inpaint", seconds), 0) for seconds in fills),
        removals=tuple(
            Removal(one, fills_of(number, len(removals), len(fills))) for number, one in enumerate(removals)
        ),
        cut_outs=tuple(work("cut_out", seconds) for name, _, seconds in spans if name == "cut_out"),
        poll=poll.work,
        forget=forget.work,
        **steps,
    )


def fills_of(number: int, removals: int, fills: int) -> tuple[int, ...]:
    """The fills that removal `number` waits for: its own, and for the last of several, all.

    The order is the walk's: objects first, then all of them together.
    """
    if number == removals - 1 and removals > 1:
        return tuple(range(fills))
    return (min(number, fills - 1),) if removals > 1 else tuple(range(fills))


def _hop(spans: Sequence[tuple[str, float, float]]) -> float:
    """Seconds from the end of a fill to the beginning of the picture that waited for it, the shortest."""
    ends = [start + seconds for name, start, seconds in spans if name == "inpaint"]
    begins = [start for name, start, _ in spans if name == "compose"]
    waits = [begin - end for end, begin in itertools.product(ends, begins) if begin >= end]
    return min(waits, default=0.0)


def _after_hop(work: Work, hop_s: float, core_s: float) -> Work:
    return replace(work, core_s=work.core_s + core_s, wait_s=work.wait_s + max(0.0, hop_s - core_s))


def _of_a_network(work: Work) -> Work:
    return replace(work, weight=STAGE_WEIGHT, in_step=True)


def synced_write_s(folder: Path, size: int = 300_000, count: int = 12) -> float:
    """Median seconds without a core of one synced write into the store's folder."""
    from storage.files import job_key
    from storage.shared_folder import SharedFolder

    files, job_id = SharedFolder(folder), "f" * 32
    files.make_job(job_id)
    waits = []
    for number in range(count):
        began, spent = time.perf_counter(), time.thread_time()
        files.put(job_key(job_id, f"mask_{number}.png", 1), bytes(size))
        waits.append(time.perf_counter() - began - (time.thread_time() - spent))
    files.delete_job(job_id)
    return statistics.median(waits)
