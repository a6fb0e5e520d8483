import re
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import MaskTooSmallError
from engine.mobile_sam.segment import upscale_logits
from engine.refine import choose_mask, refine_given_mask, refine_object
from engine.types import (
    DecodedObject,
    MaskCandidate,
    MaskRegion,
    ObjectPrompt,
    PixelBox,
    RefinedObject,
    RefineOptions,
    RgbImage,
    WeightRegion,
)
from tests.engine.scenes import decoded, disc, iou, logits_of, painted

NOTHING = np.zeros((300, 400), np.float32)
TAP = ObjectPrompt(((200.0, 150.0),), (1,))


def refined(
    answer: DecodedObject,
    image: RgbImage,
    prompt: ObjectPrompt = TAP,
    options: RefineOptions | None = None,
    image_size: int = 256,
) -> RefinedObject:
    return refine_object(answer, prompt, image, image_size, options or RefineOptions(), 3)


def on_picture(region: MaskRegion | WeightRegion, image: RgbImage) -> np.ndarray:
    full = np.zeros((image.height, image.width), region.pixels.dtype)
    full[region.box.slices] = region.pixels
    return full


def test_object_comes_out_with_its_mask_edge_and_hole() -> None:
    share = disc(400, 300, 200, 150, 80)
    image = painted(share)
    item = refined(decoded(share), image)
    mask, alpha, hole = (on_picture(part, image) for part in (item.mask, item.soft_alpha, item.hole))
    assert iou(mask, share > 0.5) > 0.99
    assert item.area_px == mask.sum() and item.bbox == item.mask.box
    rows, columns = np.nonzero(mask)
    assert item.bbox == PixelBox(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert iou(alpha >= 128, mask) > 0.99
    assert (hole[mask] == 255).all() and (hole[alpha >= 32] == 255).all()
    assert item.warnings == () and (item.score, item.stability) == (0.9, 0.95)
    for part in (item.mask, item.soft_alpha, item.hole):
        assert not part.pixels.flags.writeable


@pytest.mark.parametrize(
    ("width", "side", "seen"),
    [(400, 256, None), (1800, 256, None), (400, 64, None), (400, 64, PixelBox(60, 30, 340, 280))],
    ids=["fine", "coarse", "small network", "looked at twice"],
)
def test_the_mask_that_is_shown_is_the_mask_that_is_used(
    width: int, side: int, seen: PixelBox | None
) -> None:
    height = width * 3 // 4
    share = disc(width, height, width // 2, height // 2, height // 4)
    image = painted(share, noise=20)
    shown = share if seen is None else share[seen.slices]
    answer = replace(decoded(shown, side=side), seen=seen)
    prompt = ObjectPrompt(((width / 2, height / 2),), (1,))
    alone, item = choose_mask(answer, prompt, image, 256, 3), refined(answer, image, prompt)
    assert alone.mask.box == item.mask.box and np.array_equal(alone.mask.pixels, item.mask.pixels)
    assert (alone.score, alone.stability) == (item.score, item.stability)


def test_fine_logits_are_thresholded_as_they_are() -> None:
    share = disc(400, 300, 200, 150, 80)
    image = painted(np.roll(share, 9, axis=1))
    answer = decoded(share, side=256, image_size=1024)
    item = refined(answer, image, image_size=1024)
    expected = upscale_logits(answer.candidates[0].logits, 400, 300, 1024) > 0
    assert np.array_equal(on_picture(item.mask, image), expected)


def test_outline_of_coarse_logits_moves_to_the_pictures_edges() -> None:
    share = disc(1000, 750, 500, 375, 200)
    image = painted(share)
    wrong = decoded(np.roll(share, 8, axis=1))
    item = refined(wrong, image, ObjectPrompt(((500.0, 375.0),), (1,)))
    plain = upscale_logits(wrong.candidates[0].logits, 1000, 750, 256) > 0
    assert iou(on_picture(item.mask, image), share > 0.5) > 0.985 > iou(plain, share > 0.5)


def test_fine_logits_of_a_large_picture_move_to_its_edges() -> None:
    share = disc(3000, 1200, 1500, 600, 400)
    image = painted(share)
    wrong = decoded(np.roll(share, 5, axis=1), side=256, image_size=1024)
    item = refined(wrong, image, ObjectPrompt(((1500.0, 600.0),), (1,)), image_size=1024)
    plain = upscale_logits(wrong.candidates[0].logits, 3000, 1200, 1024) > 0
    assert iou(on_picture(item.mask, image), share > 0.5) > iou(plain, share > 0.5) + 0.005


def test_first_candidate_that_is_large_enough_is_used_with_a_warning() -> None:
    share = disc(400, 300, 200, 150, 80)
    item = refined(decoded(NOTHING, disc(400, 300, 9, 9, 2), share), painted(share))
    assert item.bbox.width > 150
    assert item.warnings == ("the first 2 masks were too small, this is candidate 3",)


def test_object_without_a_mask_is_the_documented_error() -> None:
    with pytest.raises(MaskTooSmallError, match=r"^Segmentation failed for object 3: mask too small$"):
        refined(decoded(NOTHING, disc(400, 300, 50, 50, 3)), painted(NOTHING))
    with pytest.raises(MaskTooSmallError):
        refined(DecodedObject(()), painted(NOTHING))


def test_small_island_is_dropped_unless_it_was_tapped() -> None:
    share = np.maximum(disc(400, 300, 200, 150, 80), disc(400, 300, 30, 30, 4))
    image = painted(share)
    answer = decoded(share, side=256, image_size=1024)
    assert not on_picture(refined(answer, image, image_size=1024).mask, image)[30, 30]
    both = ObjectPrompt(((200.0, 150.0), (30.0, 30.0)), (1, 1))
    assert on_picture(refined(answer, image, both, image_size=1024).mask, image)[30, 30]


def test_dilation_and_feather_follow_the_options() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share)
    masks = decoded(share, side=256, image_size=1024)
    bare = refined(masks, image, options=RefineOptions(dilate_px=0), image_size=1024)
    assert set(np.unique(bare.hole.pixels)) <= {0, 255}
    hard = refined(masks, image, options=RefineOptions(dilate_px=20, feather_px=0), image_size=1024)
    soft = refined(masks, image, options=RefineOptions(dilate_px=20, feather_px=20), image_size=1024)
    inner = [int((part.hole.pixels == 255).sum()) for part in (bare, soft, hard)]
    assert inner == sorted(inner) and inner[0] * 1.4 < inner[2]
    assert hard.hole.box == soft.hole.box == bare.hole.box.grow(20)


def test_default_ring_is_seven_pixels_for_a_small_object() -> None:
    share = disc(400, 300, 200, 150, 40)
    image = painted(share)
    item = refined(decoded(share, side=256, image_size=1024), image, image_size=1024)
    hole, mask = on_picture(item.hole, image), on_picture(item.mask, image)
    right = int(np.flatnonzero(mask[150]).max())
    reach = int(np.flatnonzero(hole[150]).max()) - right
    assert 7 <= reach <= 9
    assert (hole[150, right + 1 : right + 4] == 255).all() and hole[150, right + reach] < 255


@pytest.mark.parametrize(
    ("share", "prompt", "words"),
    [
        (disc(400, 300, 0, 150, 80), ObjectPrompt(((20.0, 150.0),), (1,)), "touches the border"),
        (disc(400, 300, 200, 150, 170), TAP, "covers 72% of the picture"),
        (disc(400, 300, 100, 150, 60), TAP, r"does not contain the point \(200, 150\)"),
    ],
)
def test_doubtful_masks_are_told_of(share: np.ndarray, prompt: ObjectPrompt, words: str) -> None:
    item = refined(decoded(share, side=256, image_size=1024), painted(share), prompt, image_size=1024)
    assert any(re.search(words, warning) for warning in item.warnings)


def test_thin_object_is_told_of() -> None:
    share = np.zeros((300, 400), np.float32)
    share[50:250, 199:202] = 1
    item = refined(decoded(share, side=256, image_size=1024), painted(share), image_size=1024)
    assert item.warnings == ("the object is thin: parts of it may be missing",)


def test_unsure_network_is_told_of() -> None:
    share = disc(400, 300, 200, 150, 80)
    answer = DecodedObject((MaskCandidate(logits_of(share), 0.31, 0.42),))
    item = refined(answer, painted(share))
    assert item.warnings == (
        "the network is unsure of this mask (score 0.31)",
        "the outline is uncertain (stability 0.42)",
    )


def test_given_mask_is_used_as_it_is() -> None:
    share = disc(400, 300, 200, 150, 80)
    image = painted(share)
    mask = share > 0.5
    mask[140:143, 140:143] = False
    mask[10:13, 10:13] = True
    item = refine_given_mask(
        MaskRegion(PixelBox(0, 0, 400, 300), mask), ObjectPrompt(), image, RefineOptions(), 0
    )
    assert np.array_equal(on_picture(item.mask, image), mask)
    assert (item.score, item.stability, item.area_px) == (1.0, 1.0, mask.sum())
    assert iou(on_picture(item.soft_alpha, image) >= 128, mask) > 0.98


def test_given_mask_thinner_than_the_soft_edge_is_cut_out_all_the_same() -> None:
    line = np.zeros((100, 300), bool)
    line[50, 20:280] = True
    image = painted(line.astype(np.float32) * 0, noise=6)
    region = MaskRegion(PixelBox(0, 0, 300, 100), line)
    item = refine_given_mask(region, ObjectPrompt(), image, RefineOptions(), 0)
    assert np.array_equal(on_picture(item.soft_alpha, image) >= 128, line)


def test_given_mask_of_few_pixels_is_the_documented_error() -> None:
    tiny = MaskRegion(PixelBox(4, 4, 11, 11), np.ones((7, 7), bool))
    with pytest.raises(MaskTooSmallError, match="object 7"):
        refine_given_mask(tiny, ObjectPrompt(), painted(NOTHING), RefineOptions(), 7)


@pytest.mark.parametrize(("width", "height"), [(1, 400), (400, 1), (7, 9)])
def test_picture_of_extreme_shape_is_refined_or_refused(width: int, height: int) -> None:
    image = RgbImage(np.zeros((height, width, 3), np.uint8))
    answer = DecodedObject((MaskCandidate(np.full((64, 64), 5, np.float32), 0.9, 0.9),))
    item = refine_object(answer, ObjectPrompt(), image, 256, RefineOptions(), 0)
    assert item.area_px == width * height
