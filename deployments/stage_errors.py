"""What an error of a stage means: for the job, and for a client that waits.

Owns the unwrapping of Ray's errors: a stage's own exception arrives inside a `RayTaskError` whose
text is a remote traceback and must reach no client.
"""

from __future__ import annotations

from dataclasses import dataclass

from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

from engine.errors import EngineError, GpuOutOfMemoryError
from storage.errors import FileMissing, FileStoreUnavailable, StoreFull

PASSING = (RayActorError, BackPressureError, DeploymentUnavailableError, TaskCancelledError)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an error. `cause` is the stage's own exception where there is one."""

    cause: BaseException
    message: str  # for the client: no traceback, no path
    passing: bool  # trying again may help
    expected: bool  # a refusal by the engine or the stores, not a defect
    gone: bool = False  # a file is missing: perhaps the job was deleted


def unwrap(error: BaseException) -> BaseException:
    """The exception that the stage raised, or `error` itself."""
    while (
        isinstance(error, RayTaskError)
        and isinstance(error.cause, BaseException)
        and error.cause is not error
    ):
        error = error.cause
    return error


def replica_died(error: BaseException) -> bool:
    """Whether a replica went away under the call, or an answer was lost: what may be repeated should be."""
    cause: BaseException | None = unwrap(error)
    while cause is not None:  # a stage that waited for the dead one's result reports it as its own
        if isinstance(cause, (RayActorError, ObjectLostError)):
            return True
        cause = cause.__cause__
    return False


def judge(error: BaseException) -> Verdict:
    """Read an exception that came out of a handle call."""
    cause = unwrap(error)
    if isinstance(cause, GpuOutOfMemoryError):
        # Others share the card: there may be room again by the next walk.
        return Verdict(cause, f"Processing failed: {cause}", passing=True, expected=True)
    if isinstance(cause, EngineError):
        return Verdict(cause, str(cause), passing=False, expected=True)
    if isinstance(cause, StoreFull):
        message = "Processing failed: the server's disk is full; nothing was lost, segment again later"
        return Verdict(cause, message, passing=True, expected=True)
    if isinstance(cause, FileStoreUnavailable):
        message = (
            "Processing failed: the artifact store is unreachable; nothing was lost, segment again later"
        )
        return Verdict(cause, message, passing=True, expected=True)
    if isinstance(cause, FileMissing):
        return Verdict(
            cause, "Processing failed: the picture is gone, upload it again", False, True, gone=True
        )
    if isinstance(cause, MemoryError) or "OutOfMemory" in type(cause).__name__:
        message = "Processing failed: out of memory; lower MAX_IMAGE_SIZE or send fewer objects in one job"
        return Verdict(cause, message, passing=True, expected=False)
    if isinstance(cause, PASSING):
        message = "Processing failed: a stage of the service kept failing; segment again later"
        return Verdict(cause, message, passing=True, expected=False)
    passing = isinstance(cause, (RayError, RayServeException)) and not isinstance(cause, RayTaskError)
    return Verdict(cause, "Processing failed: internal error", passing=passing, expected=False)
