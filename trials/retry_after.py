"""When a refused call is worth sending again.

Owns the reading of the refusals that the service means to pass: 429 and 503 with `Retry-After`, and 409
where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping

PASSING = (409, 429, 503)


def pause_s(status: int, headers: Mapping[str, str], longest_s: float) -> float | None:
    """Seconds to wait before the next try, `longest_s` at most; None where the answer is final."""
    told = headers.get("retry-after")
    if status not in PASSING or told is None:
        return None
    return min(float(told), longest_s)
