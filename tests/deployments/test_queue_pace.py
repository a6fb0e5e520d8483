from __future__ import annotations

from types import SimpleNamespace

import pytest

from deployments.http.places import Places
from deployments.http.problems import StageUnavailableError
from deployments.http.queue_pace import LONGEST_S, UNKNOWN_S, QueuePace


class Store:
    """Answers how many jobs have ended, as the real one counts them."""

    def __init__(self) -> None:
        self.ended = 0
        self.looks = 0

    async def metrics(self) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(finished_total={"ready": self.ended, "error": 0})


@pytest.mark.parametrize(
    ("ended", "expected"),
    [(40, 13), (20, 26), (1, LONGEST_S), (1000, 1), (0, UNKNOWN_S)],
)
async def test_retry_after_is_the_time_in_which_a_tenth_of_the_queue_ends(ended: int, expected: int) -> None:
    store, now = Store(), 100.0
    pace = QueuePace(store, limit=256, clock=lambda: now)  # type: ignore[arg-type]
    assert await pace.retry_after_s() == UNKNOWN_S
    store.ended, now = ended, now + 20
    assert await pace.retry_after_s() == expected


async def test_refusals_by_the_hundred_ask_the_store_once() -> None:
    store = Store()
    pace = QueuePace(store, limit=256, clock=lambda: 100.0)  # type: ignore[arg-type]
    for _ in range(100):
        await pace.retry_after_s()
    assert store.looks == 1


def test_who_finds_no_place_is_refused_and_a_place_given_up_can_be_taken() -> None:
    places = Places(1, "previews")
    with places.take(), pytest.raises(StageUnavailableError, match="previews"), places.take():
        pass
    with pytest.raises(KeyError), places.take():
        raise KeyError
    with places.take():
        pass
