from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from load_tests.day import Persona
from load_tests.limits import P95_S, SLOW_STAGE, judge
from load_tests.records import FELT, StageSample
from load_tests.run import Run
from tests.load_tests.made_up import BEGAN, good_run, row, with_last_sample


def broken(run: Run, whole_day: bool = True) -> list[str]:
    return [verdict.text for verdict in judge(run, whole_day=whole_day) if not verdict.kept]


def test_a_good_run_keeps_every_limit() -> None:
    assert broken(good_run()) == []
    assert len(judge(good_run())) >= 8 + len(P95_S)


def test_a_wait_that_is_too_long_is_named_with_how_much() -> None:
    run = good_run()
    late = [row(5, Persona.RETAP, FELT, "tap to preview", 9_000, "late") for _ in range(3)]
    (told,) = broken(replace(run, rows=[*run.rows, *late]))
    assert told.startswith("BROKEN re-tap and preview, tap to preview, p95: 9.00 s of 13, 6.00 s too long")


def test_a_persona_that_got_nowhere_breaks_its_limit() -> None:
    run = good_run()
    rows = [one for one in run.rows if one.persona != Persona.SLOW_POLLER.value]
    (told,) = broken(replace(run, rows=rows))
    assert "slow poller" in told and "nobody got that far" in told


def failed(run: Run) -> Run:
    wrong = row(9, Persona.FIRST_TAP, "GET", "/status", 3, status=500)
    return replace(run, rows=[*run.rows, replace(wrong, error="GET /status answers 500")])


def mostly_refused(run: Run) -> Run:
    refusal = replace(row(9, Persona.FIRST_TAP, "POST", "/upload refused", 3, status=503), refused=True)
    return replace(run, rows=[*run.rows, *30 * [refusal]])


def lost(run: Run) -> Run:
    return replace(run, rows=[*run.rows, row(9, Persona.FIRST_TAP, "POST", "/segment", 3, job="lost")])


def lost_again(run: Run) -> Run:
    """A job that was asked for twice and ended once."""
    again = next(one for one in run.rows if one.name == "/segment")
    return replace(run, rows=[*run.rows, again])


def left_over(run: Run) -> Run:
    return with_last_sample(run, jobs={"processing": 1})


def ended_as_error(run: Run) -> Run:
    return with_last_sample(run, ended={"ready": 100, "error": 1})


def still_large(run: Run) -> Run:
    stages = {**run.taken.samples[-1].stages, "PhotoIntake": StageSample(1, 1, stopping=1)}
    return with_last_sample(run, stages=stages)


def never_grew(run: Run) -> Run:
    samples = tuple(
        replace(one, stages={**one.stages, SLOW_STAGE: StageSample(1, 1)}) for one in run.taken.samples
    )
    return replace(run, taken=replace(run.taken, samples=samples))


def grew_together(run: Run) -> Run:
    samples = tuple(
        replace(one, stages={**one.stages, "ImageEncoder": replace(one.stages[SLOW_STAGE])})
        for one in run.taken.samples
    )
    return replace(run, taken=replace(run.taken, samples=samples))


def grew_in_the_evening(run: Run) -> Run:
    evening = next(span for span in run.phases if span.name == "evening")
    samples = tuple(
        replace(one, stages={**one.stages, SLOW_STAGE: StageSample(2, 2)})
        if evening.end - 5 < one.at - BEGAN < evening.end
        else one
        for one in run.taken.samples
    )
    return replace(run, taken=replace(run.taken, samples=samples))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (failed, "failures: 1 of"),
        (mostly_refused, "refused with Retry-After: 30 of"),
        (lost, "accepted jobs whose end nobody saw: 1 ['lost']"),
        (lost_again, "accepted jobs whose end nobody saw: 1 "),
        (left_over, "jobs left in the store: {'processing': 1}"),
        (ended_as_error, "jobs ended as error, and dead letters: 1 of"),
        (still_large, "stages not at their least replicas at the end: {'PhotoIntake': 2}"),
        (never_grew, "LamaInpainter at noon"),
        (grew_together, "the next, ImageEncoder"),
        (grew_in_the_evening, "LamaInpainter in the second half of the evening, replicas at most: 2"),
    ],
)
def test_what_is_wrong_breaks_its_limit_and_no_other(spoil: Callable[[Run], Run], word: str) -> None:
    (told,) = broken(spoil(good_run()))
    assert word in told


def test_part_of_a_day_is_not_asked_whether_stages_grew() -> None:
    assert broken(never_grew(good_run()), whole_day=False) == []
