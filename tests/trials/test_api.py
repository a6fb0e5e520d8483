from __future__ import annotations

from trials.api import fuzz, table


def test_api_keeps_its_own_document_under_fuzzing(service_url: str) -> None:
    outcome = fuzz(service_url, cases=150, seconds=45, seed=7, phases=("fuzzing", "stateful"))
    shown = "\n".join([*table(outcome), *map(repr, outcome.failures.items()), *outcome.errors])
    assert not outcome.failures and not outcome.errors, shown
    assert outcome.cases >= 150, shown
    assert {phase for _, phase in outcome.answers} == {"fuzzing", "stateful"}
