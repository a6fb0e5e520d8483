"""What one average job asks of each resource of a cluster.

Owns the mixing of measured processor time, traffic and counts with assumptions where nothing could be
measured: no GPU was at hand, so the networks' GPU times are goals, named as such.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from capacity.processor_time import CLIENT
from capacity.service_times import ServiceTimes

ON_NETWORKS = ("ImageEncoder", "PromptDecoder", "LamaInpainter")
READS_OF_ORIGINAL = 3  # encoder, refiner, composer, each once while their caches hold it


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What was not measured.

    GPU milliseconds are per item at full batches; `host` ones are those of a core beside the GPU.
    """

    encoder_ms: float = 1000 / 1500
    decoder_ms: float = 1000 / 20_000  # a prompt
    lama_ms: float = 1000 / 250  # a square of 512 px
    launch_ms: float = 0.5  # of a batch, whatever its size
    encoder_host_ms: float = 20.0  # original.png read, scaled; the embedding stored
    decoder_host_ms: float = 3.0
    lama_host_ms: float = 6.0
    three_objects: float = 0.25  # share of jobs with three objects; the others have one
    polls: float = 2.0
    downloaded: float = 1.0  # times that a job's results are fetched
    headroom: float = 0.7  # share of a resource that is planned to be used


@dataclass(frozen=True, slots=True)
class Demand:
    """Of one average job: GPU seconds by network, core-seconds by process, counts, and bytes."""

    gpu_s: Mapping[str, float]
    core_s: Mapping[str, float]
    fills: float
    redis_changes: float
    redis_bytes: float
    edge_bytes: float
    hop_bytes: float
    store_written: float
    store_read: float
    files: float

    @property
    def gpu_total_s(self) -> float:
        """Of all networks."""
        return sum(self.gpu_s.values())

    @property
    def core_total_s(self) -> float:
        """Of all processes."""
        return sum(self.core_s.values())


def mix_of(assumed: Assumptions) -> dict[int, float]:
    """Share of jobs by number of objects."""
    return {1: 1 - assumed.three_objects, 3: assumed.three_objects}


def demand_of(times: ServiceTimes, assumed: Assumptions) -> Demand:
    """The average job of the mix."""
    mix = mix_of(assumed)
    objects = sum(n * share for n, share in mix.items())
    fills = sum(
        share * statistics.fmean(len(visit.fills) for visit in times.visits[n]) for n, share in mix.items()
    )
    traffic: Counter[str] = Counter()
    for n, share in mix.items():
        for name, value in times.traffic[str(n)].items():
            traffic[name] += share * value  # type: ignore[assignment]
    hops = sum(value for name, value in traffic.items() if name.startswith("hop: "))
    results, original = traffic["store: results"], traffic["store: original.png"]
    embedding = traffic["store: embedding"]
    return Demand(
        gpu_s={
            "ImageEncoder": assumed.encoder_ms / 1000,
            "PromptDecoder": objects * assumed.decoder_ms / 1000,
            "LamaInpainter": fills * assumed.lama_ms / 1000,
        },
        core_s=_core_seconds(times, assumed, fills),
        fills=fills,
        redis_changes=traffic["Redis scripts"],
        redis_bytes=traffic["Redis bytes in"] + traffic["Redis bytes out"],
        edge_bytes=traffic["upload"] + assumed.downloaded * results,
        hop_bytes=hops,
        store_written=original + embedding + results,
        store_read=READS_OF_ORIGINAL * original + assumed.downloaded * results,
        files=traffic["store: files, count"],
    )


def _core_seconds(times: ServiceTimes, assumed: Assumptions, fills: float) -> dict[str, float]:
    core_s: dict[str, float] = {}

    def add(phase: str, share: float) -> None:
        for part, value in times.parts[phase].items():
            if part != CLIENT and part not in ON_NETWORKS:
                core_s[part] = core_s.get(part, 0.0) + share * max(0.0, value)

    for n, share in mix_of(assumed).items():
        add(f"upload for {n}", share)
        add(f"job of {n}", share)
    add("poll", assumed.polls)
    add("forget", 1.0)
    core_s["ImageEncoder"] = assumed.encoder_host_ms / 1000
    core_s["PromptDecoder"] = assumed.decoder_host_ms / 1000
    core_s["LamaInpainter"] = fills * assumed.lama_host_ms / 1000
    return core_s
