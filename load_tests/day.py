"""A day's shape: who is there when.

Owns the personas' names, the phases of the day and the order in which people come and go. Knows neither
Locust nor HTTP, so that the report and the tests can read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile


class Persona(StrEnum):
    """Kinds of users, by what they do in one visit (`personas.py`)."""

    FIRST_TAP = "first tap"
    RETAP = "re-tap and preview"
    THREE_OBJECTS = "three objects"
    EXTRACT_ONLY = "extract only"
    BATCH_IMPORT = "batch import"
    SLOW_POLLER = "slow poller"
    CANCELLER = "canceller"


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the day. `share`: of the whole day; `crowd`: who is there once all have come.

    Who of the phase before is not at the same place in `crowd` goes at once; the others come one by one
    during `arriving`, a fraction of the phase.
    """

    name: str
    share: float
    crowd: tuple[Persona, ...]
    arriving: float = 0.25


_P = Persona
_REGULARS = (_P.FIRST_TAP, _P.RETAP, _P.CANCELLER)
_MORNING = (*_REGULARS, _P.SLOW_POLLER, _P.FIRST_TAP, _P.RETAP)

DAY = (
    Phase("night", 0.09, (_P.FIRST_TAP,)),
    Phase("morning", 0.16, _MORNING, arriving=0.7),
    Phase("noon", 0.25, _MORNING + 5 * (_P.THREE_OBJECTS,)),
    Phase("afternoon", 0.20, _REGULARS + 3 * (_P.BATCH_IMPORT,)),
    Phase("evening", 0.20, (_P.FIRST_TAP, *6 * (_P.EXTRACT_ONLY,))),
    Phase("late", 0.10, (_P.FIRST_TAP,)),
)
FULL_DAY_S, QUICK_DAY_S = 340.0, 50.0


@dataclass(frozen=True, slots=True)
class Change:
    """The next step from one crowd to another: to so many people, by newcomers of one persona only."""

    count: int
    newcomer: Persona | None


def phase_at(at: float, day: Sequence[Phase] = DAY) -> tuple[int, float]:
    """Index of the phase at `at`, a fraction of the day in 0..1, and how much of it is over, 0..1."""
    began = 0.0
    for index, phase in enumerate(day):
        if at < began + phase.share or index == len(day) - 1:
            return index, min(1.0, max(0.0, (at - began) / phase.share))
        began += phase.share
    raise ValueError("a day needs a phase")


def crowd_at(at: float, day: Sequence[Phase] = DAY) -> tuple[Persona, ...]:
    """Who is there at `at`, a fraction of the day in 0..1, in the order in which they came."""
    index, over = phase_at(at, day)
    phase = day[index]
    stayed = shared_start(day[index - 1].crowd, phase.crowd) if index else 0
    come = 1.0 if phase.arriving <= 0 else min(1.0, over / phase.arriving)
    newcomers = len(phase.crowd) - stayed
    return phase.crowd[: stayed + max(int(come * newcomers), min(1, len(phase.crowd) - stayed))]


def next_change(present: Sequence[Persona], wanted: Sequence[Persona]) -> Change | None:
    """The first step from `present` to `wanted`; None when they are the same.

    Locust lets the last who came go first, and takes newcomers of the classes that it is told: a crowd
    is a stack, and one step either lets some go or adds some of one persona.
    """
    same = shared_start(present, wanted)
    if same < len(present):
        return Change(same, None)
    if same == len(wanted):
        return None
    newcomer = wanted[same]
    run = len(list(takewhile(lambda one: one is newcomer, wanted[same:])))
    return Change(same + run, newcomer)


def shared_start(one: Sequence[Persona], other: Sequence[Persona]) -> int:
    """How many places from the start on have the same persona in both."""
    return len(list(takewhile(lambda pair: pair[0] is pair[1], zip(one, other, strict=False))))
