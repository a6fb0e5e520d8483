"""A recorded run: everything of one report's folder, and the questions that limits and figure ask of it.

Owns the reading and the arithmetic; neither draws nor judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from load_tests.records import (
    CANCELLED,
    CHECK,
    FELT,
    READY,
    Crowd,
    Row,
    Sample,
    Samples,
    StageSample,
    read_crowds,
    read_rows,
    read_samples,
)


@dataclass(frozen=True, slots=True)
class Span:
    """A phase of the day as it really was: seconds since the day began."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    rows: Sequence[Row]
    crowds: Sequence[Crowd]
    taken: Samples

    @property
    def began(self) -> float:
        """When the day began, seconds since the epoch."""
        return self.crowds[0].at

    @property
    def ended(self) -> float:
        """When the last sample was taken, seconds since the day began."""
        return self.taken.samples[-1].at - self.began

    @property
    def phases(self) -> list[Span]:
        """The day's phases in their order."""
        spans: list[Span] = []
        for crowd, after in zip(self.crowds, [*self.crowds[1:], self.crowds[-1]], strict=True):
            start, end = crowd.at - self.began, after.at - self.began
            if spans and spans[-1].name == crowd.phase:
                spans[-1] = Span(crowd.phase, spans[-1].start, end)
            else:
                spans.append(Span(crowd.phase, start, end))
        return spans

    def felt(self, persona: str, what: str) -> list[Row]:
        """What users of a persona waited for, and got."""
        return [
            row
            for row in self.rows
            if row.kind == FELT and row.persona == persona and row.name == what and not row.error
        ]

    def lost_jobs(self) -> list[str]:
        """Ids of jobs that were accepted once more than they ended, or were cancelled."""
        accepted: Counter[str] = Counter()
        settled: Counter[str] = Counter()
        for row in self.rows:
            if row.name == "/segment" and not row.error:
                accepted[row.job] += 1
            elif (row.kind, row.name) == (FELT, READY) or (row.kind, row.name) == (CHECK, CANCELLED):
                settled[row.job] += 1
        return sorted((accepted - settled).elements())

    def during(self, phase: str, part: float = 1.0) -> list[Sample]:
        """Samples of a phase; with `part`, of its last part only."""
        spans = [span for span in self.phases if span.name == phase]
        return [
            sample
            for sample in self.taken.samples
            for span in spans
            if span.end - part * (span.end - span.start) <= sample.at - self.began <= span.end
        ]

    def series(self, value: Callable[[Sample], float]) -> tuple[np.ndarray, np.ndarray]:
        """A value over time: seconds since the day began, and the values."""
        samples = self.taken.samples
        return np.array([one.at - self.began for one in samples]), np.array([value(one) for one in samples])

    def stage(self, name: str, value: Callable[[StageSample], float]) -> tuple[np.ndarray, np.ndarray]:
        """A value of one stage over time."""
        return self.series(lambda sample: value(sample.stages[name]))

    def batch_sizes(self, stage: str, window_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean size of the batches that calls shared, over windows; only windows with a call."""
        samples, times, means = self.taken.samples, [], []
        first = samples[0]
        for sample in samples:
            if sample.at - first.at < window_s:
                continue
            (calls, total), (before, was) = (one.batches.get(stage, (0.0, 0.0)) for one in (sample, first))
            if calls > before:
                times.append((sample.at + first.at) / 2 - self.began)
                means.append((total - was) / (calls - before))
            first = sample
        return np.array(times), np.array(means)


def percentile(rows: Sequence[Row], percent: float) -> float:
    """That percentile of the rows' durations, seconds; nan of none."""
    return float(np.percentile([row.ms for row in rows], percent)) / 1000 if rows else float("nan")


def read_run(folder: Path) -> Run:
    """The run that was recorded in `folder`."""
    return Run(read_rows(folder), read_crowds(folder), read_samples(folder / "samples.json"))
