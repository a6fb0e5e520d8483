"""What a day must keep to: the limits and the judgement of a recorded run.

Owns the numbers. They hold for one machine with two cores and the bundled networks (docs/load.md has what
was measured); of other machines they say something only when they are broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from load_tests.day import Persona
from load_tests.records import ANSWERED, DOWNLOADED, PREVIEW, READY, Sample
from load_tests.run import Run, percentile

SLOW_STAGE = "LamaInpainter"
REFUSED_SHARE = 0.05  # of all requests; a client that waits as told gets through

# Longest p95 of what a user feels, seconds.
P95_S: dict[tuple[Persona, str], float] = {
    (Persona.FIRST_TAP, ANSWERED): 3.0,
    (Persona.FIRST_TAP, READY): 15.0,
    (Persona.FIRST_TAP, DOWNLOADED): 2.0,
    (Persona.RETAP, PREVIEW): 3.0,
    (Persona.RETAP, READY): 15.0,
    (Persona.THREE_OBJECTS, READY): 30.0,
    (Persona.EXTRACT_ONLY, READY): 8.0,
    (Persona.BATCH_IMPORT, ANSWERED): 6.0,
    (Persona.BATCH_IMPORT, READY): 30.0,
    (Persona.SLOW_POLLER, READY): 20.0,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit, what was measured, and whether it was kept."""

    name: str
    measured: str
    allowed: str
    kept: bool

    @property
    def text(self) -> str:
        """One line of words."""
        return f"{'kept  ' if self.kept else 'BROKEN'} {self.name}: {self.measured} (limit: {self.allowed})"


def judge(run: Run, *, whole_day: bool = True) -> list[Verdict]:
    """All limits. `whole_day`: the phases are long enough for stages to grow and shrink."""
    verdicts = [*_answers(run), *_jobs(run), *_waits(run), _back(run)]
    return [*verdicts, *_growth(run)] if whole_day else verdicts


def _answers(run: Run) -> Iterator[Verdict]:
    failed = [row for row in run.rows if row.error]
    first = f", first: {failed[0].persona}, {failed[0].name}: {failed[0].error[:120]}" if failed else ""
    yield Verdict("failures", f"{len(failed)} of {len(run.rows)}{first}", "0", not failed)
    requests = [row for row in run.rows if row.status]
    refused = sum(row.refused for row in requests)
    share = refused / max(len(requests), 1)
    yield Verdict(
        "refused with Retry-After",
        f"{refused} of {len(requests)} requests, {100 * share:.1f} %",
        f"{100 * REFUSED_SHARE:g} %",
        share <= REFUSED_SHARE,
    )


def _jobs(run: Run) -> Iterator[Verdict]:
    lost, last, first = run.lost_jobs(), run.taken.samples[-1], run.taken.samples[0]
    yield Verdict(
        "accepted jobs whose end nobody saw", f"{len(lost)} {lost[:3] or ''}".strip(), "0", not lost
    )
    left = {state: count for state, count in last.jobs.items() if count}
    yield Verdict("jobs left in the store", str(left or 0), "0", not left)
    ended = {kind: last.ended[kind] - first.ended.get(kind, 0) for kind in last.ended}
    wrong = ended.get("error", 0) + last.dead_letters - first.dead_letters
    yield Verdict(
        "jobs ended as error, and dead letters", f"{wrong} of {sum(ended.values())}", "0", not wrong
    )


def _waits(run: Run) -> Iterator[Verdict]:
    for (persona, what), limit_s in P95_S.items():
        rows, name = run.felt(persona, what), f"{persona.value}, {what}, p95"
        if not rows:
            yield Verdict(name, "nobody got that far", f"{limit_s:g} s", False)
            continue
        measured = percentile(rows, 95)
        over = f", {measured - limit_s:.2f} s too long" if measured > limit_s else ""
        yield Verdict(name, f"{measured:.2f} s of {len(rows)}{over}", f"{limit_s:g} s", measured <= limit_s)


def _back(run: Run) -> Verdict:
    last = run.taken.samples[-1]
    more = {
        name: stage.running + stage.starting + stage.stopping
        for name, stage in last.stages.items()
        if (stage.running + stage.starting + stage.stopping, stage.running)
        != (run.taken.replicas[name][0],) * 2
    }
    return Verdict("stages not at their least replicas at the end", str(more or "none"), "none", not more)


def _growth(run: Run) -> Iterator[Verdict]:
    noon, evening = run.during("noon"), run.during("evening", part=0.5)
    grown = {name: _mean_growth(run, name, noon) for name in run.taken.replicas}
    others = {name: value for name, value in grown.items() if name != SLOW_STAGE}
    next_name = max(others, key=lambda name: others[name])
    yield Verdict(
        f"{SLOW_STAGE} at noon, replicas above its least on average",
        f"{grown[SLOW_STAGE]:.2f}; the next, {next_name}, {others[next_name]:.2f}",
        "at least 1, and more than twice any other's",
        grown[SLOW_STAGE] >= 1 and grown[SLOW_STAGE] > 2 * others[next_name],
    )
    still = max((one.stages[SLOW_STAGE].running for one in evening), default=0)
    least = run.taken.replicas[SLOW_STAGE][0]
    yield Verdict(
        f"{SLOW_STAGE} in the second half of the evening, replicas at most",
        str(still),
        str(least),
        still == least,
    )


def _mean_growth(run: Run, stage: str, samples: list[Sample]) -> float:
    least = run.taken.replicas[stage][0]
    return float(np.mean([one.stages[stage].running - least for one in samples])) if samples else 0.0
