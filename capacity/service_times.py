"""What was measured of the service, as a value and as a JSON file.

Owns the layout of that file. Every figure is of one machine at one time, both named in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from capacity.jobs import Fill, Look, Removal, Visit
from capacity.processors import Work
from capacity.simulation import ServiceSpec
from capacity.stages import StageSpec

# As serve_config.local.yaml; a test compares them.
LOCAL_STAGES = {
    "PhotoIntake": StageSpec(at_once=2),
    "ImageEncoder": StageSpec(),
    "PromptDecoder": StageSpec(max_batch=8),
    "MaskRefiner": StageSpec(at_once=4),
    "LamaInpainter": StageSpec(),
    "ResultComposer": StageSpec(at_once=8),
}
LOCAL_CONCURRENT_JOBS = 3


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Visits with `n` objects by n, one client alone, and what surrounds them.

    `parts`: core-seconds by phase (`upload`, `job of 1`, `poll`, ...) and process. `traffic`: counts and
    bytes of a visit by name. `curves`: seconds of batches by network. `background_cores`: what the idle
    service uses.
    """

    facts: Mapping[str, Any]
    cores: int
    background_cores: float
    crowding: float
    foreign_cores: float  # what others used of the machine meanwhile
    visits: Mapping[int, tuple[Visit, ...]]
    parts: Mapping[str, Mapping[str, float]]
    traffic: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)
    thrift: float = 1.0

    def local_service(self, rivals: float = 0.0) -> ServiceSpec:
        """The service of `serve_config.local.yaml` on the machine that was measured."""
        return ServiceSpec(
            self.cores,
            LOCAL_STAGES,
            LOCAL_CONCURRENT_JOBS,
            background_cores=self.background_cores,
            crowding=self.crowding,
            thrift=self.thrift,
            rivals=rivals,
        )

    def at_pace(self, pace: float) -> ServiceTimes:
        """What they are when the same machine needs `pace` times as long for the same work."""
        visits = {n: tuple(visit.times(pace) for visit in many) for n, many in self.visits.items()}
        return replace(self, visits=visits, background_cores=pace * self.background_cores)

    def write(self, path: Path) -> None:
        """As JSON, seconds to the microsecond, a line for each field."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in _rounded(asdict(self)).items()]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_service_times(path: Path) -> ServiceTimes:
    """What `ServiceTimes.write` has written."""
    told = json.loads(path.read_text())
    visits = {int(n): tuple(_visit(one) for one in many) for n, many in told.pop("visits").items()}
    return ServiceTimes(visits=visits, **told)


def _visit(told: dict[str, Any]) -> Visit:
    return Visit(
        objects=told.pop("objects"),
        fills=tuple(Fill(Work(**one["work"]), one["kind"]) for one in told.pop("fills")),
        removals=tuple(Removal(Work(**one["work"]), tuple(one["of"])) for one in told.pop("removals")),
        cut_outs=tuple(Work(**one) for one in told.pop("cut_outs")),
        looks=tuple(Look(Work(**one["encode"]), Work(**one["decode"])) for one in told.pop("looks", ())),
        **{name: Work(**work) for name, work in told.items()},
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
