from __future__ import annotations

from itertools import pairwise

import pytest

from load_tests.day import DAY, Persona, Phase, crowd_at, next_change, phase_at


def test_phases_fill_the_day_in_their_order() -> None:
    assert sum(phase.share for phase in DAY) == pytest.approx(1)
    names = [DAY[phase_at(minute / 1440)[0]].name for minute in range(1440)]
    assert list(dict.fromkeys(names)) == ["night", "morning", "noon", "afternoon", "evening", "late"]
    for phase in DAY:
        assert names.count(phase.name) == pytest.approx(1440 * phase.share, abs=2)


def test_each_phase_ends_with_its_whole_crowd() -> None:
    end = 0.0
    for phase in DAY:
        end += phase.share
        assert crowd_at(end - 1e-6) == phase.crowd


def test_morning_rises_one_by_one() -> None:
    sizes = [len(crowd_at(at / 1000)) for at in range(90, 249)]
    assert sizes[0] <= 2 and sizes[-1] == 6
    assert all(after - before in (0, 1) for before, after in pairwise(sizes))


def test_three_objects_come_at_noon_only_and_nobody_is_inpainted_for_in_the_evening_but_first_taps() -> None:
    by_phase: dict[str, set[Persona]] = {}
    for at in range(1000):
        by_phase.setdefault(DAY[phase_at(at / 1000)[0]].name, set()).update(crowd_at(at / 1000))
    assert [name for name, crowd in by_phase.items() if Persona.THREE_OBJECTS in crowd] == ["noon"]
    assert [name for name, crowd in by_phase.items() if Persona.BATCH_IMPORT in crowd] == ["afternoon"]
    assert by_phase["evening"] == {Persona.FIRST_TAP, Persona.EXTRACT_ONLY}
    assert set().union(*by_phase.values()) == set(Persona)


def test_changes_step_by_step_lead_from_any_crowd_to_the_next() -> None:
    present: list[Persona] = []
    for at in range(0, 1000, 7):
        wanted = crowd_at(at / 1000)
        steps = 0
        while (change := next_change(present, wanted)) is not None:
            # As Locust does it: the last who came go first, newcomers are of one class.
            if change.newcomer is None:
                assert change.count < len(present)
                present = present[: change.count]
            else:
                present += [change.newcomer] * (change.count - len(present))
            steps += 1
            assert steps < 10
        assert present == list(wanted)


def test_a_phase_whose_people_come_at_once_has_them_at_once() -> None:
    day = (Phase("all", 1.0, (Persona.FIRST_TAP, Persona.RETAP), arriving=0),)
    assert crowd_at(0, day) == (Persona.FIRST_TAP, Persona.RETAP)
