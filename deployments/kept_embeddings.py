"""Embeddings that a replica has at hand for further taps on the same pictures.

Owns which are kept: the last that were used. They are a cache only; the shared store has them all.
"""

from __future__ import annotations

from collections import OrderedDict

from engine.types import ImageEmbedding


class KeptEmbeddings:
    """The last pictures' embeddings, by the digest of their pixels. For one event loop."""

    def __init__(self, most: int) -> None:
        """Keep `most` embeddings, 2 MB each at full size."""
        self._kept: OrderedDict[str, ImageEmbedding] = OrderedDict()
        self._most = most

    def get(self, digest: str) -> ImageEmbedding | None:
        """The kept embedding, now the one that was used last."""
        if digest in self._kept:
            self._kept.move_to_end(digest)
        return self._kept.get(digest)

    def keep(self, digest: str, embedding: ImageEmbedding) -> None:
        """Keep one more, and forget the one that was used longest ago."""
        self._kept[digest] = embedding
        self._kept.move_to_end(digest)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
