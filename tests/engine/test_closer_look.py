"""A second look: where it goes, what it is asked, and that its answer lies where the object is."""

from dataclasses import replace

import numpy as np
import pytest

from engine.closer_look import look_closer, part_to_look_at, picture_in, prompt_in, seen_closer
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder
from engine.refine import candidate_mask, refine_object
from engine.regions import whole_mask
from engine.types import DecodedObject, ImageEmbedding, ObjectPrompt, PixelBox, RefineOptions, RgbImage
from tests.engine.scenes import decoded, disc, iou, painted

WIDTH, HEIGHT = 400, 300
SHARE = disc(WIDTH, HEIGHT, 300, 200, 30)
IMAGE = painted(SHARE)
TAP = ObjectPrompt(((300.0, 200.0),), (1,))
PART = PixelBox(255, 155, 346, 246)


def seen_in(part: PixelBox) -> DecodedObject:
    return replace(decoded(np.ascontiguousarray(SHARE[part.slices])), seen=part)


def test_part_is_around_the_object_and_as_much_larger_as_asked() -> None:
    part = part_to_look_at(decoded(SHARE), TAP, IMAGE, 256, 1.5)
    assert part is not None
    assert part.width == pytest.approx(90, abs=6) and part.height == pytest.approx(90, abs=6)
    assert (part.x0 + part.x1) / 2 == pytest.approx(300, abs=3)
    assert (part.y0 + part.y1) / 2 == pytest.approx(200, abs=3)


def test_part_holds_all_that_the_user_pointed_at_and_stays_in_the_picture() -> None:
    prompt = ObjectPrompt(((300.0, 200.0), (120.5, 280.0)), (1, 0), (290.0, 100.0, 399.5, 290.0))
    part = part_to_look_at(decoded(SHARE), prompt, IMAGE, 256, 1.5)
    assert part is not None and (part.x0, part.y0, part.x1) == (120, 100, WIDTH) and part.y1 <= HEIGHT


def test_an_object_that_fills_the_picture_is_not_looked_at_again() -> None:
    share = disc(WIDTH, HEIGHT, 200, 150, 140)
    assert part_to_look_at(decoded(share), TAP, painted(share), 256, 1.5) is None
    assert part_to_look_at(decoded(np.zeros_like(SHARE)), TAP, IMAGE, 256, 1.5) is None


def test_prompt_points_at_the_same_pixels_of_the_part() -> None:
    prompt = ObjectPrompt(((300.0, 200.0),), (1,), (280.0, 180.0, 320.0, 220.0))
    moved = prompt_in(PART, prompt)
    assert moved.points == ((45.0, 45.0),) and moved.box == (25.0, 25.0, 65.0, 65.0)
    there = picture_in(PART, IMAGE).pixels[45, 45]
    assert np.array_equal(there, IMAGE.pixels[200, 300])


def test_object_seen_in_a_part_comes_out_where_it_is_in_the_picture() -> None:
    item = refine_object(seen_in(PART), TAP, IMAGE, 256, RefineOptions(), 0)
    assert iou(whole_mask(item.mask, WIDTH, HEIGHT) > 0, SHARE > 0.5) > 0.97
    assert item.warnings == ()
    shown = candidate_mask(seen_in(PART).candidates[0], PART, TAP, IMAGE, 256)
    assert shown is not None and iou(whole_mask(shown, WIDTH, HEIGHT) > 0, SHARE > 0.5) > 0.9


def test_second_look_that_shows_nothing_leaves_the_first() -> None:
    first, nothing = decoded(SHARE), decoded(np.zeros((PART.height, PART.width), np.float32))
    assert seen_closer(first, nothing, PART, TAP, 256) is first
    assert seen_closer(first, seen_in(PART), PART, TAP, 256).seen == PART


def test_networks_are_shown_the_part_and_its_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[RgbImage, ObjectPrompt]] = []
    encoder = PictureEncoder(lambda pixels: (np.zeros((1, 2, 16, 16), np.float32),), 256)
    decoder = PromptDecoder(lambda *_: (), 256)

    def answer(requests: list[tuple[ImageEmbedding, list[ObjectPrompt]]]) -> list[list[DecodedObject]]:
        ((embedding, (prompt,)),) = requests
        part = PixelBox(0, 0, embedding.width, embedding.height)
        shown.append((RgbImage(np.zeros((part.height, part.width, 3), np.uint8)), prompt))
        return [[decoded(disc(part.width, part.height, part.width // 2, part.height // 2, 30))]]

    monkeypatch.setattr(decoder, "decode", answer)
    found = look_closer(encoder, decoder, decoded(SHARE), TAP, IMAGE, 256, 1.5)
    ((picture, prompt),) = shown
    assert found.seen is not None and (picture.width, picture.height) == (found.seen.width, found.seen.height)
    assert prompt == prompt_in(found.seen, TAP)
