from __future__ import annotations

from deployments.http.backend import NetworksSeen
from deployments.http.health import check_health
from tests.deployments.http.conftest import Running
from tests.deployments.http.small_service import NETWORK


async def test_network_whose_stage_is_at_zero_replicas_is_no_problem(running: Running) -> None:
    running.backend.seen = NetworksSeen({"mobile_sam": NETWORK}, asleep=frozenset({"lama"}))
    found = await check_health(running.backend, "0")
    assert (found.status, found.problems, list(found.checkpoints)) == ("ok", [], ["mobile_sam"])


async def test_network_whose_stage_should_answer_and_does_not_is_named(running: Running) -> None:
    running.backend.seen = NetworksSeen({"mobile_sam": NETWORK}, asleep=frozenset())
    found = await check_health(running.backend, "0")
    assert found.status == "starting" and found.problems == ["lama: its stage does not answer yet"]


async def test_stage_that_finds_no_room_is_named_with_the_reason(running: Running) -> None:
    starved = 'MaskRefiner: its replica finds no room. Resources required: {"CPU": 1.0}'
    running.backend.seen = NetworksSeen(running.backend.seen.loaded, frozenset(), (starved,))
    found = await check_health(running.backend, "0")
    assert found.status == "starting" and starved in found.problems
