"""How the C library keeps memory while a network is trained.

Owns its two settings. A step frees gigabytes that the next one asks for again: fetched anew from the
system each time, pages cost a fifth to a third of a step.
"""

from __future__ import annotations

import os
import sys

_SETTINGS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


def keep_freed_memory() -> None:
    """Begin this process again with those settings, which are read at its start; children inherit them."""
    if os.environ.keys() >= _SETTINGS.keys():
        return
    sys.stdout.flush()
    os.execve(sys.executable, sys.orig_argv, {**_SETTINGS, **os.environ})
