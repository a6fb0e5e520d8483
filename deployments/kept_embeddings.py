"""The encoder's answers that one ingress keeps for further taps on the same pictures.

Owns which are kept. What is kept is a reference: the embedding itself stays in Ray's object store, from where
the decoder reads it without asking the encoder again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT = 16  # pictures; 2 MB each in the object store at full size

Answer = TypeVar("Answer")


class KeptEmbeddings(Generic[Answer]):
    """The last pictures' answers, by digest; an answer that failed must not be kept."""

    def __init__(self, most: int = KEPT) -> None:
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._most = most

    def get(self, digest: str, ask: Callable[[], Answer]) -> Answer:
        """The kept answer, or what `ask` answers."""
        kept = self._kept.get(digest)
        return ask() if kept is None else kept

    def keep(self, digest: str, answer: Answer) -> None:
        """Keep an answer that was used with success, and forget the one that was used longest ago."""
        self._kept[digest] = answer
        self._kept.move_to_end(digest)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, digest: str) -> bool:
        """Whether there was one."""
        return self._kept.pop(digest, None) is not None
