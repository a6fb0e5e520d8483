from __future__ import annotations

import pickle

import pytest
from ray.exceptions import ActorDiedError, ObjectLostError, RayTaskError

from deployments.stage_errors import judge, replica_died, unwrap
from engine.errors import MaskTooSmallError
from storage.errors import FileMissing, FileStoreUnavailable


def as_ray_raises(error: Exception) -> Exception:
    """The error as a handle's caller meets it: wrapped, its text a remote traceback."""
    sent = pickle.loads(pickle.dumps(error))
    wrapped = RayTaskError("stage", "Traceback (most recent call last): /path/to/stage.py", sent)
    return wrapped.as_instanceof_cause()


def test_stages_own_error_is_found_and_its_words_kept() -> None:
    error = as_ray_raises(MaskTooSmallError("Segmentation failed for object 0: mask too small"))
    assert str(error) != "Segmentation failed for object 0: mask too small"  # what a client must not see
    assert type(unwrap(error)) is MaskTooSmallError
    verdict = judge(error)
    assert verdict.message == "Segmentation failed for object 0: mask too small"
    assert verdict.expected and not verdict.passing


def test_dead_replica_is_worth_another_walk() -> None:
    assert judge(ActorDiedError()).passing


def test_defect_is_named_without_traceback_or_path() -> None:
    verdict = judge(as_ray_raises(ZeroDivisionError("division by zero")))
    assert verdict.message == "Processing failed: internal error"
    assert not verdict.passing and not verdict.expected


def test_missing_file_asks_whether_the_job_is_gone() -> None:
    assert judge(as_ray_raises(FileMissing("no such file"))).gone


def test_a_store_that_is_away_is_worth_another_walk_and_said_in_words() -> None:
    verdict = judge(as_ray_raises(FileStoreUnavailable("The object storage does not answer")))
    assert verdict.passing and verdict.expected
    assert "artifact store" in verdict.message and "segment again" in verdict.message


def test_out_of_memory_names_the_setting_to_lower() -> None:
    assert "MAX_IMAGE_SIZE" in judge(as_ray_raises(MemoryError())).message


@pytest.mark.parametrize("error", [MaskTooSmallError("a"), FileMissing("b"), FileStoreUnavailable("c")])
def test_our_errors_survive_the_way_between_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error)


def test_an_answer_that_was_lost_with_its_machine_is_asked_for_again() -> None:
    lost = ObjectLostError("00" * 28, None, "")
    assert replica_died(lost)
    assert not replica_died(RuntimeError("the stage's own"))
