"""The priority of a process that computes, below those that answer at once."""

from __future__ import annotations

import os

NICENESS = 4  # about 0.4 of the share of an ordinary process, where both want the same core


def compute_in_background() -> None:
    """Lower this process's priority once, on systems that have one (POSIX).

    For replicas that compute: where cores are few, requests are then answered, leases kept and refusals
    given while the networks run. The figures are in docs/reliability.md.
    """
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
