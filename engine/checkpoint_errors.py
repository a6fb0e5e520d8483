"""What is said of a checkpoint's file that cannot even be read, whoever tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import CheckpointError


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's complaints about `path` into one that says how to mend it.

    Raises:
        CheckpointError: in place of an `OSError`.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; correct the path or unset it") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
