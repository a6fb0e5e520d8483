from __future__ import annotations

from deployments.kept_embeddings import KeptEmbeddings


def test_an_answer_is_asked_for_once_and_again_when_it_was_forgotten() -> None:
    kept, asked = KeptEmbeddings[str](), []

    def ask() -> str:
        asked.append("asked")
        return f"answer {len(asked)}"

    kept.keep("one", kept.get("one", ask))
    assert (kept.get("one", ask), kept.get("one", ask)) == ("answer 1", "answer 1")
    assert kept.forget("one")
    assert not kept.forget("one")
    assert kept.get("one", ask) == "answer 2"


def test_an_answer_that_nobody_keeps_is_not_kept() -> None:
    """It may be a failure: that is known only when it was used."""
    kept = KeptEmbeddings[str]()
    assert kept.get("one", lambda: "failed") == "failed"
    assert kept.get("one", lambda: "good") == "good"


def test_the_one_used_longest_ago_is_forgotten() -> None:
    kept = KeptEmbeddings[str](most=2)
    for digest in ("one", "two", "one", "three"):
        kept.keep(digest, digest)
    answers = [kept.get(digest, lambda: "anew") for digest in ("one", "two", "three")]
    assert answers == ["one", "anew", "three"]
