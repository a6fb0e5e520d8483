"""The engine's one tree of errors.

Owns what can go wrong in pure computation. Knows nothing of HTTP codes, Ray or Redis. Every
error takes its message only, so that it survives pickling between processes.
"""


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose; `str(error)` may be shown to a client."""


class PhotoError(EngineError):
    """The uploaded bytes are not a picture that can be worked on; the message says why."""


class PromptError(EngineError):
    """A prompt does not fit its picture: outside it, wrong shape, or contradictory."""


class MaskTooSmallError(EngineError):
    """Segmentation answered a mask below the smallest useful area."""


class CheckpointError(EngineError):
    """A checkpoint is missing, damaged or of another architecture; the message says how to mend it."""


class ExecutionError(EngineError):
    """A network cannot be executed as asked on this machine; the message says what to set instead."""


class GpuOutOfMemoryError(EngineError):
    """The GPU has no room even for a batch of one; the message says which setting to lower."""
