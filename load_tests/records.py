"""What a load test writes down while it runs, and the reading of it.

Owns the layout of `requests.csv`, `users.csv` and `samples.json` in a report's folder. Times are seconds
since the epoch, durations milliseconds.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FELT, CHECK = "FELT", "CHECK"  # kinds of rows that are not one HTTP request
READY, PREVIEW, ANSWERED, DOWNLOADED = "tap to ready", "tap to preview", "upload to answer", "download"
CANCELLED = "cancelled"
LEAVING = "leaving"  # after the last phase, while visits are brought to their end


@dataclass(frozen=True, slots=True)
class Row:
    """One request, one wait that a user feels (kind FELT) or one look at a result (kind CHECK).

    `at`: when it began. `kind`: FELT, CHECK or the HTTP method. `name`: what was called, without ids.
    `refused`: answered with 429 or 503 and `Retry-After`, which is no failure. `error`: empty where it
    went well.
    """

    at: float
    persona: str
    kind: str
    name: str
    ms: float
    status: int
    size: int
    job: str
    refused: bool
    error: str


# Any: what Locust's request event tells.
def row_of(
    request_type: str,
    name: str,
    response_time: float,
    response_length: int,
    exception: Exception | None,
    context: Mapping[str, Any],
    response: Any = None,
    **_: Any,
) -> Row:
    """The row of a request that has just ended, as Locust reports it."""
    return Row(
        at=time.time() - response_time / 1000,
        persona=context.get("persona", ""),
        kind=request_type,
        name=context.get("what", name),
        ms=response_time,
        status=response.status_code if response is not None else 0,
        size=response_length or 0,
        job=context.get("job", ""),
        refused=bool(context.get("refused")),
        error=str(exception) if exception else "",
    )


class RowWriter:
    """Appends rows to a CSV file; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow([one.name for one in fields(Row)])

    def write(self, row: Row) -> None:
        """Append one row."""
        self._csv.writerow((f"{row.at:.3f}", *astuple(row)[1:4], f"{row.ms:.1f}", *astuple(row)[5:]))

    def close(self) -> None:
        """All rows are in the file then."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.close()


def read_rows(folder: Path) -> list[Row]:
    """All rows of a folder by time; each Locust process has written a file of its own."""
    rows = []
    for path in sorted(folder.glob("requests*.csv")):
        with path.open(newline="") as file:
            for one in csv.DictReader(file):
                rows.append(
                    Row(
                        float(one["at"]),
                        one["persona"],
                        one["kind"],
                        one["name"],
                        float(one["ms"]),
                        int(one["status"]),
                        int(one["size"]),
                        one["job"],
                        one["refused"] == "True",
                        one["error"],
                    )
                )
    return sorted(rows, key=lambda row: row.at)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Users of each persona at one moment, and the phase of the day."""

    at: float
    phase: str
    users: Mapping[str, int]


def read_crowds(folder: Path) -> list[Crowd]:
    """The crowds that Locust really had, about one a second."""
    with (folder / "users.csv").open(newline="") as file:
        return [
            Crowd(float(one.pop("at")), one.pop("phase"), {name: int(count) for name, count in one.items()})
            for one in csv.DictReader(file)
        ]


@dataclass(frozen=True, slots=True)
class StageSample:
    """One deployment at one moment: its replicas, and what their processes take."""

    target: int
    running: int
    starting: int = 0
    stopping: int = 0
    cpu: float | None = None  # cores taken since the sample before; None where processes cannot be seen
    rss_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one moment.

    `cpu`: cores by whom, `machine` of all processes together, `stolen` by the host of a virtual machine.
    `batches`: by stage of `/metrics`, calls so far and the sum of the batch sizes that they were in.
    `seconds`: by stage, calls so far and the sum of their seconds.
    """

    at: float
    stages: Mapping[str, StageSample]
    waiting: int
    running: int
    jobs: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    dead_letters: int = 0
    batches: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples of a run. `replicas`: least and most of each stage, by the config that was served."""

    machine: Mapping[str, Any]
    replicas: Mapping[str, tuple[int, int]]
    samples: tuple[Sample, ...]


def write_samples(path: Path, taken: Samples) -> None:
    """Write them as one JSON document."""
    document = {"machine": taken.machine, "replicas": taken.replicas, "samples": list(taken.samples)}
    path.write_text(json.dumps(document, default=_as_fields, separators=(",", ":")) + "\n")


def read_samples(path: Path) -> Samples:
    """The document of `write_samples`."""
    document = json.loads(path.read_text())
    return Samples(
        document["machine"],
        {name: (least, most) for name, (least, most) in document["replicas"].items()},
        tuple(_sample(one) for one in document["samples"]),
    )


def _sample(one: dict[str, Any]) -> Sample:
    stages = {name: StageSample(**stage) for name, stage in one.pop("stages").items()}
    batches, seconds = (dict(_pairs(one.pop(name))) for name in ("batches", "seconds"))
    return Sample(stages=stages, batches=batches, seconds=seconds, **one)


def _pairs(values: Mapping[str, Iterable[float]]) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, pair in values.items():
        count, total = pair
        yield name, (count, total)


def _as_fields(value: Any) -> dict[str, Any]:
    return {
        one.name: round(found, 4) if isinstance(found := getattr(value, one.name), float) else found
        for one in fields(value)
    }
