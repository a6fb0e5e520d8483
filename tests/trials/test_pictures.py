from __future__ import annotations

from trials.pictures import send_all, short_cases, table
from trials.service import Service


def test_hostile_and_exotic_pictures_break_no_promise(service: Service) -> None:
    cases = short_cases(seed=3, max_pixels=4_000_000, max_bytes=1_900_000, a_family=2)
    outcome = send_all(service, cases, seconds=150)
    shown = "\n".join(table(outcome))
    assert not outcome.broken, shown
    assert outcome.cases >= 40, shown
