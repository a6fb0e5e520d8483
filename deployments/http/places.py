"""A bounded number of something at once: who finds no place is refused at once and told when to ask again.

Owns the counting, within one replica. Without a bound each wait would lengthen all others behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.http.problems import StageUnavailableError


class Places:
    """`limit` places for `what`. For one event loop."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self._what = limit, what
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place while the context lasts.

        Raises:
            StageUnavailableError: all are taken.
        """
        if self._taken >= self._limit:
            raise StageUnavailableError(f"Too many {self._what} at once: try again shortly")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
