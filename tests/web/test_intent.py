"""What sentences are taken to mean: the parser and the search among marked objects, by themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.sentences import NAMES, NOT_ACTED_ON, UNDERSTOOD

RANKS = {1: "", 2: "2nd", 3: "3rd"}


def describe(wish: dict[str, Any]) -> str:
    place = wish["place"]
    where = ""
    if place:
        across, down = ({-1: names[0], 1: names[1]} for names in (("left", "right"), ("top", "bottom")))
        sides = [down.get(place["y"] or 0, ""), across.get(place["x"] or 0, "")]
        where = (" ".join(filter(None, sides)) or "middle") + "!" * place["extreme"]
    parts = [
        wish["kind"] if wish["kind"] != "described" else "",
        f"'{wish['noun']}'" if wish["noun"] else "",
        f"#{','.join(map(str, wish['numbers']))}" if wish["numbers"] else "",
        where,
        RANKS[wish["rank"]],
        wish["size"],
        wish["colour"],
    ]
    many = "*" * wish["plural"] + (f"={wish['count']}" if wish["count"] else "")
    return " ".join(filter(None, parts)) + many


def gist(intent: dict[str, Any]) -> str:
    parts = [intent["action"], str(intent.get("times", "")), intent.get("what", "")]
    if intent.get("target"):
        parts.append(" & ".join(map(describe, intent["target"]["of"])))
        parts += [f"- {describe(wish)}" for wish in intent["target"]["except"]]
    if "name" in intent:
        parts.append(f"to {intent['name']}")
    return " ".join(filter(None, parts)) + (" +too" if intent.get("too") else "")


@pytest.fixture(scope="module")
def read(script: Any) -> Any:
    """Read sentences with the names of `NAMES` given."""
    return lambda sentences: dict(
        zip(
            sentences,
            script(
                "words/intent.js",
                f"return {json.dumps(list(sentences))}.map((s) => m.readIntent(s, {json.dumps(NAMES)}));",
            ),
            strict=True,
        )
    )


def test_every_sentence_is_understood_as_people_mean_it(read: Any) -> None:
    answers = read(UNDERSTOOD)
    assert {said: gist(answers[said]) for said in UNDERSTOOD} == UNDERSTOOD
    assert len(UNDERSTOOD) >= 80


def test_what_is_not_fully_understood_is_not_acted_on(read: Any) -> None:
    answers = read(NOT_ACTED_ON)
    assert {answer["action"] for answer in answers.values()} == {"unclear"}
    assert {said: answers[said]["why"] for said in NOT_ACTED_ON} == NOT_ACTED_ON


# Six objects of a picture: id, name, colour, middle (shares of the picture), area.
SCENE = [
    (11, "Dog", 0, (0.10, 0.50), 900),
    (12, "", 1, (0.30, 0.52), 5000),
    (13, "", 2, (0.50, 0.48), 100),
    (14, "Cat", 3, (0.70, 0.50), 400),
    (15, "Dog", 4, (0.90, 0.20), 1000),
]


@pytest.fixture(scope="module")
def find(script: Any) -> Any:
    """Find what a sentence is about among some objects of `SCENE`, by their ids."""

    def run(said: str, ids: tuple[int, ...] = (11, 12, 13, 14, 15), current: int | None = None) -> Any:
        chosen = [row for row in SCENE if row[0] in ids]
        marked = [
            {
                "id": id_,
                "name": name,
                "title": name or f"Object {n}",
                "colour": colour,
                "at": at,
                "area": area,
            }
            for n, (id_, name, colour, at, area) in enumerate(chosen, 1)
        ]
        scene = {"objects": marked, "currentId": current, "spokenOf": []}
        return script(
            "words/resolve.js",
            f"""
            const {{ readIntent }} = await import('./js/words/intent.js');
            const scene = {json.dumps(scene)};
            const names = scene.objects.map((o) => o.name).filter(Boolean);
            return m.resolve(readIntent({json.dumps(said)}, names).target, scene);
            """,
        )

    return run


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ("remove everything", [11, 12, 13, 14, 15]),
        ("remove all but the first", [12, 13, 14, 15]),
        ("remove the cat", [14]),
        ("remove both dogs", [11, 15]),
        ("remove the dog on the left", [11]),
        ("remove the dog at the top", [15]),
        ("remove the leftmost object", [11]),
        ("remove the second from the left", [12]),
        ("remove the right one", [15]),
        ("remove the middle one", [13]),
        ("remove the person on the left", [12]),
        ("remove everything on the left", [11, 12]),
        ("remove the biggest one", [12]),
        ("remove the second smallest object", [14]),
        ("remove the red one", [12]),
        ("remove the last one and the cat", [14, 15]),
        ("remove object 2 and the dog on the left", [11, 12]),
        ("remove the others", [11, 12, 13, 15]),
    ],
)
def test_words_find_the_marked_object_that_is_meant(find: Any, said: str, ids: list[int]) -> None:
    found = find(said, current=14)
    assert (found["ids"], found["problem"]) == (ids, "")


@pytest.mark.parametrize(
    ("said", "ids", "problem"),
    [
        ("remove the dog", (11, 12, 15), "Which one: Dog or Dog?"),
        ("remove it", (12, 13), "Which one: Object 1 or Object 2?"),
        ("remove object 7", (12, 13), "There is no object 7: 2 are marked."),
        ("remove all three", (12, 13), "2 objects are marked, not 3."),
        ("remove the lime one", (12, 13), "No outline is lime. Marked: coral and amber."),
        (
            "remove the giraffe",
            (12, 13),
            "Nothing is called “giraffe”, and words for things are not recognised",
        ),
        ("remove the giraffes on the right", (12,), "Nothing is marked on the right."),
        ("remove the giraffe", (), "Tap the giraffe first, then say it again."),
        ("remove it", (), "Nothing is marked yet."),
        ("remove the others", (12, 13), "Tap the object that is to stay first."),
    ],
)
def test_words_that_fit_none_or_several_pick_nothing(
    find: Any, said: str, ids: tuple[int, ...], problem: str
) -> None:
    found = find(said, ids)
    assert found["ids"] == []
    assert problem in found["problem"]


@pytest.mark.parametrize(
    ("said", "ids", "guess"),
    [
        ("remove the giraffe", (11, 12), [12]),
        ("remove the catt", (11, 14), [14]),
        ("remove the red bus", (12, 13), [12]),
    ],
)
def test_a_noun_that_is_no_name_is_asked_about_before_anything_happens(
    find: Any, said: str, ids: tuple[int, ...], guess: list[int]
) -> None:
    found = find(said, ids)
    assert found["ids"] == guess
    assert "Do you mean" in found["problem"]


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ("remove the person on the left", ()),
        ("remove the left one", (15,)),
        ("cut out the man at the bottom right", (11, 12)),
    ],
)
def test_a_place_where_nothing_is_marked_is_to_be_looked_at(
    find: Any, said: str, ids: tuple[int, ...]
) -> None:
    found = find(said, ids)
    assert found["ids"] == [] and found["look"]["place"]


def test_leaving_out_all_there_is_leaves_nothing_to_do(find: Any) -> None:
    found = find("remove everything but the cat", (14,))
    assert found["allExcepted"] and found["ids"] == [14]


def test_names_become_file_names_that_every_system_takes(script: Any) -> None:
    names = ["Dog", " a/b\\c:d ", "..hidden.", "Café 🐕", "???", "x" * 99]
    safe = script("words/names.js", f"return {json.dumps(names)}.map(m.fileNameOf)")
    assert safe == ["Dog", "a b c d", "hidden", "Café 🐕", "", "x" * 40]
