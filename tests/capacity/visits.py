"""A made-up visit whose steps are known, for tests."""

from __future__ import annotations

from capacity.jobs import NOTHING, Fill, Removal, Visit
from capacity.processors import Work


def visit(*, objects: int = 1, fill_s: float = 1.0, hop_s: float = 0.0, threads: float = 1.0) -> Visit:
    """Encode 0.5 s, decode 0.1, refine 0.2, fills `fill_s` each, and 0.1 for each picture written."""
    hop = Work(0.0, wait_s=hop_s)
    return Visit(
        objects=objects,
        receive=NOTHING,
        intake=Work(0.05),
        encode=Work(0.5),
        accept=hop,
        pick_up=hop,
        to_decoder=hop,
        decode=Work(0.1),
        to_refiner=hop,
        refine=Work(0.2),
        to_writers=hop,
        fills=tuple(Fill(Work(fill_s, threads), 512) for _ in range(objects)),
        removals=tuple(Removal(Work(0.1), (index,)) for index in range(objects)),
        cut_outs=(),
        finish=hop,
        poll=NOTHING,
        forget=NOTHING,
    )
