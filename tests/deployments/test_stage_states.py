from __future__ import annotations

from deployments.stage_states import StageState

SERVES_WORDS = (
    "Deployment 'LamaInpainter' in application 'tapcut' has 1 replicas that have taken more than 30s to be "
    "scheduled. This may be due to waiting for the cluster to auto-scale or for a runtime environment to be "
    'installed. Resources required for each replica: {"CPU": 1.0, "GPU": 0.5}, total resources available: '
    '{"CPU": 11.0}. Use `ray status` for more details.'
)


def test_stage_without_replicas_is_asleep_only_if_serve_wants_none() -> None:
    assert StageState(0, 0, True, "").asleep
    assert not StageState(0, 0, False, "").asleep
    assert not StageState(0, 1, True, "").asleep
    assert not StageState(1, 0, True, "").asleep


def test_replica_that_waits_for_room_says_what_it_needs_and_what_there_is() -> None:
    starved = StageState(0, 1, False, SERVES_WORDS)
    assert starved.want_of_room is not None
    assert starved.want_of_room.startswith('Resources required for each replica: {"CPU": 1.0, "GPU": 0.5}')
    assert starved.want_of_room.endswith('total resources available: {"CPU": 11.0}')


def test_old_words_of_a_stage_that_has_started_since_are_no_want() -> None:
    assert StageState(1, 0, True, SERVES_WORDS).want_of_room is None


def test_slow_start_is_no_want_of_room() -> None:
    slow = "has 1 replicas that have taken more than 30s to initialize.\nThis may be a slow __init__"
    assert StageState(0, 1, False, slow).want_of_room is None
