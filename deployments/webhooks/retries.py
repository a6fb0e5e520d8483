"""When a webhook that failed is tried again.

Owns the waits. They grow, so that a short fault costs seconds and a long one few calls, and are spread,
so that a receiver that comes back is not met by all at once.
"""

from __future__ import annotations

import random

STEPS = (1, 5, 30, 120, 600, 3600)  # in units of the setting WEBHOOK_RETRY_S; the last one repeats
SPREAD = 0.2
LONGEST_ASKED_S = 3600.0  # a receiver may ask for a longer wait than ours, up to here


def delay_s(tries: int, unit_s: float, asked_s: float = 0.0) -> float:
    """Seconds to wait after `tries` failed tries (1 or more); `asked_s` is the receiver's `Retry-After`."""
    step = STEPS[min(tries, len(STEPS)) - 1] * unit_s
    own = step * random.uniform(1 - SPREAD, 1 + SPREAD)
    return max(own, min(asked_s, LONGEST_ASKED_S))
