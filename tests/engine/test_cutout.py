import numpy as np

from engine.cutout import cut_out
from engine.refine import refine_object
from engine.types import (
    MaskRegion,
    ObjectPrompt,
    PixelBox,
    RefinedObject,
    RefineOptions,
    RgbImage,
    WeightRegion,
)
from tests.engine.scenes import BACKGROUND_RGB, OBJECT_RGB, decoded, disc, painted


def cut_disc(share: np.ndarray, image: RgbImage) -> RefinedObject:
    return refine_object(
        decoded(share, side=256, image_size=1024), ObjectPrompt(), image, 1024, RefineOptions(), 0
    )


def with_alpha(alpha: np.ndarray) -> RefinedObject:
    box = PixelBox(0, 0, alpha.shape[1], alpha.shape[0])
    weight = WeightRegion(box, alpha)
    return RefinedObject(MaskRegion(box, alpha >= 128), weight, weight, 1, 1, 1, box, ())


def test_cut_out_is_cropped_with_padding_and_says_where_it_was() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share)
    item = cut_disc(share, image)
    cut = cut_out(image, item, padding_px=10)
    box = item.soft_alpha.box
    assert (cut.offset_x, cut.offset_y) == (box.x0 - 10, box.y0 - 10)
    assert cut.rgba.shape == (box.height + 20, box.width + 20, 4)
    assert np.array_equal(cut.rgba[10:-10, 10:-10, 3], item.soft_alpha.pixels)
    assert not cut.rgba[:10, :, 3].any() and not cut.rgba.flags.writeable


def test_padding_ends_at_the_edge_of_the_picture() -> None:
    share = disc(400, 300, 3, 3, 60)
    image = painted(share)
    cut = cut_out(image, cut_disc(share, image), padding_px=500)
    assert (cut.offset_x, cut.offset_y) == (0, 0) and cut.rgba.shape == (300, 400, 4)


def test_inside_of_the_object_keeps_its_pixels() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share, noise=15)
    cut = cut_out(image, cut_disc(share, image), padding_px=4)
    y, x = 150 - cut.offset_y, 200 - cut.offset_x
    assert np.array_equal(cut.rgba[y - 40 : y + 40, x - 40 : x + 40, :3], image.pixels[110:190, 160:240])
    assert (cut.rgba[y - 40 : y + 40, x - 40 : x + 40, 3] == 255).all()


def test_edge_has_the_colour_of_the_object_not_of_the_background() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share)
    cut = cut_out(image, cut_disc(share, image), padding_px=4)
    colours = cut.rgba[..., :3].astype(float)
    is_edge = (cut.rgba[..., 3] > 10) & (cut.rgba[..., 3] < 250)
    observed = image.pixels[
        cut.offset_y : cut.offset_y + cut.rgba.shape[0], cut.offset_x : cut.offset_x + cut.rgba.shape[1]
    ]
    away = np.linalg.norm(colours - OBJECT_RGB, axis=2)[is_edge].mean()
    away_before = np.linalg.norm(observed - np.array(OBJECT_RGB), axis=2)[is_edge].mean()
    assert away < 12 and away < away_before / 3


def test_composite_on_the_old_background_gives_the_picture_back() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share, noise=0)
    cut = cut_out(image, with_alpha((share * 255 + 0.5).astype(np.uint8)), padding_px=4)
    alpha = cut.rgba[..., 3:] / 255
    again = cut.rgba[..., :3] * alpha + np.array(BACKGROUND_RGB) * (1 - alpha)
    shown = image.pixels[
        cut.offset_y : cut.offset_y + cut.rgba.shape[0], cut.offset_x : cut.offset_x + cut.rgba.shape[1]
    ]
    assert np.abs(again - shown).max() < 26 and np.abs(again - shown).mean() < 0.5


def test_nothing_of_the_background_lies_under_transparent_pixels() -> None:
    share = disc(400, 300, 200, 150, 60)
    image = painted(share, noise=0)
    cut = cut_out(image, cut_disc(share, image), padding_px=40)
    colours, alpha = cut.rgba[..., :3].astype(int), cut.rgba[..., 3]
    clear = alpha == 0
    is_empty = (colours == 0).all(axis=2)
    is_like_background = np.abs(colours - BACKGROUND_RGB).max(axis=2) < 30
    assert not (clear & is_like_background).any()
    assert is_empty[:30].all() and (clear & ~is_empty).any(), "the edge's colour is carried a little further"


def test_mask_over_the_whole_picture_is_cut_out_whole() -> None:
    image = painted(disc(60, 50, 20, 20, 10))
    cut = cut_out(image, with_alpha(np.full((50, 60), 255, np.uint8)), padding_px=9)
    assert np.array_equal(cut.rgba[..., :3], image.pixels) and (cut.rgba[..., 3] == 255).all()


def test_a_wire_far_from_the_rest_of_its_object_has_its_own_colour() -> None:
    share = disc(400, 100, 50, 50, 30)
    share[50, 80:390] = 1
    image = painted(share, noise=0)
    cut = cut_out(image, with_alpha((share * 255 + 0.5).astype(np.uint8)), padding_px=4)
    wire = cut.rgba[cut.rgba[..., 3] > 128]
    assert len(wire) > 250
    assert np.abs(wire[:, :3].astype(int) - OBJECT_RGB).max() < 3
