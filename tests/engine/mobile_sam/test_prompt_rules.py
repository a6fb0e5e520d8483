from __future__ import annotations

import math

import pytest

from engine.errors import PromptError
from engine.mobile_sam.prompt_rules import validate_prompt
from engine.types import ObjectPrompt


@pytest.mark.parametrize(
    "prompt",
    [
        ObjectPrompt(((0, 0),), (1,)),
        ObjectPrompt(((639.9, 479.9), (3, 4)), (1, 0)),
        ObjectPrompt(box=(0, 0, 640, 480)),
        ObjectPrompt(((5, 5),), (0,), box=(0, 0, 10, 10)),
    ],
)
def test_sensible_prompt_passes(prompt: ObjectPrompt) -> None:
    validate_prompt(prompt, 640, 480)


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        (ObjectPrompt(), "at least one point or a box"),
        (ObjectPrompt(((1, 1),), ()), "1 points but 0 labels"),
        (ObjectPrompt(((1, 1),), (2,)), "label 2"),
        (ObjectPrompt(((1, 1),), (0,)), "only negative points"),
        (ObjectPrompt(((math.nan, 1),), (1,)), "finite"),
        (ObjectPrompt(((1, math.inf),), (1,)), "finite"),
        (ObjectPrompt(((640, 1),), (1,)), r"point \(640, 1\) is outside the picture of 640x480"),
        (ObjectPrompt(((1, 480),), (1,)), "outside"),
        (ObjectPrompt(((-0.1, 1),), (1,)), "outside"),
        (ObjectPrompt(box=(10, 10, 5, 20)), "reversed"),
        (ObjectPrompt(box=(10, 10, 20, 10)), "empty"),
        (ObjectPrompt(box=(0, 0, 641, 480)), "leaves the picture"),
        (ObjectPrompt(box=(-1, 0, 10, 10)), "leaves the picture"),
        (ObjectPrompt(box=(0, math.nan, 10, 10)), "finite"),
    ],
)
def test_senseless_prompt_is_refused_by_name(prompt: ObjectPrompt, complaint: str) -> None:
    with pytest.raises(PromptError, match=complaint):
        validate_prompt(prompt, 640, 480)
