"""Memory that a process no longer needs, given back to the machine."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def return_freed_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc); elsewhere nothing happens.

    For replicas, once their network is built and checkpoint and module are dropped: glibc keeps
    those pages otherwise. Measured November 2026: 811 MB become 548 MB for full-size LaMa.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
