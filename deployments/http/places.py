"""A bounded number of something at once: who finds no place is refused at once and told when to ask again.

Owns the counting, within one replica. Without a bound each wait would lengthen all others behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.http.problems import StageUnavailableError


class Places:
    """`limit` places for `what`, of which one tenant may have half. For one event loop."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self._what = limit, what
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, owner: str = "") -> Iterator[None]:
        """Hold a place while the context lasts. `owner`: the tenant, "" where there are none.

        Raises:
            StageUnavailableError: all are taken, or the tenant has its half.
        """
        most = self._limit // 2 if owner else self._limit
        if self._taken.total() >= self._limit or self._taken[owner] >= most:
            raise StageUnavailableError(f"Too many {self._what} at once: try again shortly")
        self._taken[owner] += 1
        try:
            yield
        finally:
            self._taken[owner] -= 1
            self._taken += Counter()  # drops the tenants that hold none
