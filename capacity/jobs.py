"""What one visit of a client asks of each stage.

Owns the values that the simulation draws its jobs from: as many as were measured, each whole, so that a
job with large holes is large in every stage.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from capacity.processors import Work


@dataclass(frozen=True, slots=True)
class Fill:
    """One run of the inpainter; `kind` is the side of its square, px."""

    work: Work
    kind: int


@dataclass(frozen=True, slots=True)
class Removal:
    """One picture that the composer makes of the fills `of`, by their places in the job."""

    work: Work
    of: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The second look at one object, from nearer, that small networks take."""

    encode: Work
    decode: Work


NOTHING = Work(0.0)


@dataclass(frozen=True, slots=True)
class Visit:
    """An upload and its job. The steps between stages are work as well: hops, the store, HTTP."""

    objects: int
    receive: Work  # HTTP and the store, around the intake
    intake: Work
    encode: Work
    accept: Work  # POST /segment until its answer
    pick_up: Work  # from there until a runner has begun the job
    to_decoder: Work
    decode: Work
    to_refiner: Work
    refine: Work
    to_writers: Work
    fills: tuple[Fill, ...]
    removals: tuple[Removal, ...]
    cut_outs: tuple[Work, ...]
    finish: Work  # result.json and the commit
    poll: Work  # one GET /status
    forget: Work  # DELETE /cleanup
    looks: tuple[Look, ...] = ()  # side by side, between two calls of the refiner
    to_looks: Work = NOTHING
    refine_again: Work = NOTHING

    @property
    def job_core_s(self) -> float:
        """Core-seconds from the tap to the commit, without polls."""
        steps = (self.accept, self.pick_up, self.to_decoder, self.decode, self.to_refiner, self.refine)
        looks = [self.to_looks, self.refine_again]
        looks += [work for look in self.looks for work in (look.encode, look.decode)]
        works = [
            *steps,
            *looks,
            self.to_writers,
            *(fill.work for fill in self.fills),
            *self.cut_outs,
            self.finish,
        ]
        return sum(work.core_s for work in (*works, *(removal.work for removal in self.removals)))

    @property
    def core_s(self) -> float:
        """Core-seconds of the whole visit, without polls."""
        around = (self.receive, self.intake, self.encode, self.forget)
        return self.job_core_s + sum(work.core_s for work in around)

    def times(self, factor: float) -> Visit:
        """The same on a machine whose cores need `factor` times as long; waits stay."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        steps: dict[str, Any] = {
            name: value.times(factor) for name, value in values.items() if isinstance(value, Work)
        }
        return replace(
            self,
            **steps,
            fills=tuple(replace(fill, work=fill.work.times(factor)) for fill in self.fills),
            removals=tuple(replace(one, work=one.work.times(factor)) for one in self.removals),
            cut_outs=tuple(work.times(factor) for work in self.cut_outs),
            looks=tuple(Look(one.encode.times(factor), one.decode.times(factor)) for one in self.looks),
        )
