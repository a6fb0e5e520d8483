from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from benchmarks.customer import JobSeen
from benchmarks.growth import exponent, last_step
from benchmarks.overhead import anatomy_of, draw, overhead_section

TAPPED_AT = 1_763_800_000.0


def _job(*spans: tuple[str, float, float]) -> JobSeen:
    """A job that began 0.1 s after the tap and was ready 2 s after it; spans count from its beginning."""
    told = [{"stage": stage, "start": start, "seconds": seconds} for stage, start, seconds in spans]
    ready = datetime.fromtimestamp(TAPPED_AT + 2, UTC).isoformat()
    result = {"seconds": {"began_at": TAPPED_AT + 0.1, "spans": told}}
    return JobSeen(2.05, TAPPED_AT, {"updated_at": ready}, result)


def test_each_moment_of_a_job_is_counted_once() -> None:
    # A cut-out is written while a crop is filled: the network has those moments.
    job = _job(("decode", 0.1, 0.2), ("refine", 0.3, 0.1), ("inpaint", 0.5, 1.0), ("cut_out", 0.4, 0.3))

    anatomy = anatomy_of(job)

    assert sum(anatomy.parts.values()) == pytest.approx(2.0, abs=1e-4)
    assert anatomy.parts["inpaint"] == pytest.approx(1.0, abs=1e-4)
    assert anatomy.parts["cut_out"] == pytest.approx(0.1, abs=1e-4)
    assert anatomy.parts["accepting and queue"] == pytest.approx(0.1, abs=1e-4)
    assert anatomy.parts["result.json and commit"] == pytest.approx(0.4, abs=1e-4)
    assert anatomy.overhead_share == pytest.approx(0.4, abs=1e-4)


def test_two_crops_that_are_filled_together_take_their_time_once() -> None:
    job = _job(("inpaint", 0.5, 1.0), ("inpaint", 0.5, 1.0))
    assert anatomy_of(job).network_s == pytest.approx(1.0, abs=1e-4)


def test_too_much_time_outside_of_networks_misses_the_goal() -> None:
    section, _ = overhead_section([_job(("inpaint", 0.1, 1.0))], "Where the time goes")
    assert [goal.is_met for goal in section.goals] == [False]
    section, _ = overhead_section([_job(("inpaint", 0.0, 1.8))], "Where the time goes")
    assert [goal.is_met for goal in section.goals] == [True]


def test_the_picture_of_a_job_has_a_bar_for_each_span() -> None:
    anatomy = anatomy_of(_job(("decode", 0.1, 0.2), ("inpaint", 0.5, 0.5), ("inpaint", 1.0, 0.5)))
    picture = ElementTree.fromstring(draw(anatomy, "One job"))
    titles = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        "job: 0 to 2000 ms",
        "decode: 200 to 400 ms",
        "inpaint: 600 to 1100 ms",
        "inpaint: 1100 to 1600 ms",
    ]


def test_growth_is_told_from_linear() -> None:
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [0.5, 1.0, 2.0, 4.0]) == pytest.approx(1)
    assert exponent(sizes, [0.1, 0.4, 1.6, 6.4]) == pytest.approx(2)
    assert last_step(sizes, [3.0, 3.0, 3.0, 6.0]) == pytest.approx(1)
