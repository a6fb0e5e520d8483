from __future__ import annotations

import numpy as np

from deployments.kept_embeddings import KeptEmbeddings
from engine.types import ImageEmbedding


def an_embedding() -> ImageEmbedding:
    return ImageEmbedding(np.zeros((4, 2, 2), np.float16), 32, 32)


def test_the_one_used_longest_ago_is_forgotten() -> None:
    kept, embeddings = KeptEmbeddings(most=2), {name: an_embedding() for name in ("one", "two", "three")}
    assert kept.get("one") is None
    kept.keep("one", embeddings["one"])
    kept.keep("two", embeddings["two"])
    assert kept.get("one") is embeddings["one"]  # so that "two" is the next to go
    kept.keep("three", embeddings["three"])
    assert kept.get("two") is None
    assert kept.get("one") is embeddings["one"]
    assert kept.get("three") is embeddings["three"]


def test_one_that_is_kept_again_takes_no_second_place() -> None:
    kept, embedding = KeptEmbeddings(most=2), an_embedding()
    for name in ("one", "two", "two"):
        kept.keep(name, embedding)
    assert kept.get("one") is embedding
