"""Which texts are storage keys."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import BadKey
from storage.files import check_key, embedding_key, job_key

JOB = "0123456789abcdef" * 2


def test_keys_of_the_three_forms_are_accepted() -> None:
    assert job_key(JOB, "original.png") == f"{JOB}/original.png"
    assert job_key(JOB, "mask_0.png", attempt=12) == f"{JOB}/a12/mask_0.png"
    assert embedding_key("d" * 64, "mobile_sam-1.2") == f".embeddings/{'d' * 64}-mobile_sam-1.2"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        JOB,
        f"{JOB}/",
        f"/{JOB}/x",
        f"{JOB}//x",
        f"{JOB}/../x",
        f"{JOB}/..",
        f"{JOB}/.",
        f"{JOB}/.tmp-x",
        f"{JOB}/a1/../../x",
        f"{JOB}/b1/x",
        f"{JOB}/a/x",
        f"{JOB}/a1/a2/x",
        f"{JOB}/a1/",
        f"{JOB}/x\n",
        f"{JOB}/x\0",
        f"{JOB}/x y",
        f"{JOB}/x\\y",
        f"{JOB}/é",
        f"{JOB}/{'x' * 200}",
        f"{JOB.upper()}/x",
        f"{JOB}0/x",
        f"{JOB}/a\N{ARABIC-INDIC DIGIT ONE}/x",
        "job/x",
        "../x",
        ".embeddings",
        ".embeddings/",
        ".embeddings/a1/x",
        ".embeddings/..",
        ".uploads/x",
        ".trash/x",
        ".redis/password",
        "etc/passwd",
        "/etc/passwd",
    ],
)
def test_other_texts_are_refused(key: str) -> None:
    with pytest.raises(BadKey):
        check_key(key)


@settings(deadline=None, database=None)
@given(st.text(alphabet=st.sampled_from("./a10\\\0 ~") | st.characters()))
def test_no_accepted_name_leaves_its_folder(name: str) -> None:
    try:
        key = job_key(JOB, name)
    except BadKey:
        return
    parts = key.split("/")
    assert parts[0] == JOB
    assert all(part and not part.startswith(".") for part in parts)
    assert key.isascii() and key.isprintable()
