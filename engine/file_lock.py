"""A lock between processes of one machine, by a file. Linux and macOS only, for `flock`."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def only_process(lock_file: Path, doing: str) -> Iterator[None]:
    """Wait until no other process is inside for `lock_file`, then hold everyone else off.

    The lock goes with the process that holds it, so a killed one blocks nobody. `doing` completes
    the log line "another process is ...; waiting for it".

    Raises:
        OSError: the folder of `lock_file` is missing or cannot be written.
    """
    with lock_file.open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process is %s; waiting for it", doing)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
