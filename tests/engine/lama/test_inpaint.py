import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.lama import inpaint
from engine.lama.inpaint import changed_area, composite, plan_removal
from engine.types import (
    Fill,
    FillTask,
    PixelBox,
    RemovalPlan,
    RgbImage,
    WeightRegion,
)
from tests.engine.scenes import object_at


def noise_picture(width: int, height: int, seed: int = 0) -> RgbImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels.flags.writeable = False
    return RgbImage(pixels)


def weight_map(image: RgbImage, holes: list[WeightRegion]) -> np.ndarray:
    weights = np.zeros((image.height, image.width), np.uint8)
    for hole in holes:
        part = weights[hole.box.slices]
        np.maximum(part, hole.pixels, out=part)
    return weights


def filled(task: FillTask, value: int = 9) -> Fill:
    return Fill(np.full_like(task.pixels, value))


def remove_all(image: RgbImage, plan: RemovalPlan, value: int = 9) -> RgbImage:
    parts = [
        (plan.tasks[index], filled(plan.tasks[index], value), hole)
        for index, hole in zip(plan.full, plan.full_holes, strict=True)
    ]
    return composite(image, parts)


def shown(task: FillTask) -> tuple[slice, slice]:
    return slice(0, round(task.crop.height * task.scale)), slice(0, round(task.crop.width * task.scale))


def assert_sound(task: FillTask, image: RgbImage, sizes: tuple[int, ...]) -> None:
    crop = task.crop
    assert task.pixels.shape == (*task.hole.shape, 3) and task.hole.shape[0] == task.hole.shape[1]
    assert task.hole.shape[0] in sizes and task.pixels.dtype == np.uint8
    assert 0 <= crop.x0 < crop.x1 <= image.width and 0 <= crop.y0 < crop.y1 <= image.height
    assert 0 < task.scale <= 1
    if task.scale == 1:
        assert np.array_equal(task.pixels[shown(task)], image.pixels[crop.slices])


def coverage(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Share of each of shape's cells that a mask covers, by summed areas."""
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    sums[1:, 1:] = mask.cumsum(0).cumsum(1)
    for axis in (0, 1):
        edges = np.linspace(0, mask.shape[axis], shape[axis] + 1)
        below = np.minimum(edges.astype(int), mask.shape[axis] - 1)
        rest = np.expand_dims(edges - below, 1 - axis)
        sums = np.take(sums, below, axis) * (1 - rest) + np.take(sums, below + 1, axis) * rest
    cells = np.diff(np.diff(sums, axis=0), axis=1)
    return cells * shape[0] * shape[1] / mask.size


boxes = st.tuples(st.integers(0, 349), st.integers(0, 249), st.integers(1, 200), st.integers(1, 200)).map(
    lambda b: PixelBox(b[0], b[1], min(b[0] + b[2], 350), min(b[1] + b[3], 250))
)
PICTURE = noise_picture(350, 250)
SIZES = (128, 256)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=5), st.integers(0, 12), st.integers(0, 12))
def test_every_plan_covers_its_holes_and_touches_nothing_else(
    object_boxes: list[PixelBox], dilate_px: int, feather_px: int
) -> None:
    objects = [object_at(box, PICTURE, dilate_px, feather_px) for box in object_boxes]
    plan = plan_removal(PICTURE, objects, SIZES)
    for task in plan.tasks:
        assert_sound(task, PICTURE, SIZES)
    for item, index in zip(objects, plan.per_object, strict=True):
        task = plan.tasks[index]
        result = composite(PICTURE, [(task, filled(task), item.hole)])
        weights = weight_map(PICTURE, [item.hole])
        assert np.array_equal(result.pixels[weights == 0], PICTURE.pixels[weights == 0])
    holes = [item.hole for item in objects]
    weights = weight_map(PICTURE, holes)
    assert np.array_equal(weight_map(PICTURE, list(plan.full_holes)), weights)
    result = remove_all(PICTURE, plan)
    assert np.array_equal(result.pixels[weights == 0], PICTURE.pixels[weights == 0])
    unscaled = np.zeros_like(weights, bool)
    for index, hole in zip(plan.full, plan.full_holes, strict=True):
        unscaled[hole.box.slices] |= (hole.pixels == 255) & (plan.tasks[index].scale == 1)
    assert (result.pixels[unscaled] == 9).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=5))
def test_no_hole_is_context_for_the_full_removal(object_boxes: list[PixelBox]) -> None:
    objects = [object_at(box, PICTURE) for box in object_boxes]
    weights = weight_map(PICTURE, [item.hole for item in objects])
    plan = plan_removal(PICTURE, objects, SIZES, want_each=False)
    assert plan.per_object == ()
    for index, hole in zip(plan.full, plan.full_holes, strict=True):
        task = plan.tasks[index]
        covered = coverage(weights[task.crop.slices] > 0, task.hole[shown(task)].shape)
        assert task.hole[shown(task)][covered > 0.005].all()
        assert hole.box.x0 >= task.crop.x0 and hole.box.y1 <= task.crop.y1


def test_far_objects_reuse_their_own_fills() -> None:
    image = noise_picture(1200, 300)
    objects = [
        object_at(PixelBox(100, 100, 140, 150), image),
        object_at(PixelBox(1000, 100, 1050, 150), image),
    ]
    plan = plan_removal(image, objects)
    assert len(plan.tasks) == 2 and plan.full == plan.per_object == (0, 1)
    assert all(task.pixels.shape == (256, 256, 3) for task in plan.tasks)


def test_near_objects_share_one_crop_where_it_fits() -> None:
    image = noise_picture(1200, 600)
    objects = [object_at(PixelBox(300, 200, 340, 250), image), object_at(PixelBox(380, 200, 430, 250), image)]
    plan = plan_removal(image, objects)
    assert len(plan.full) == 1 and len(plan.tasks) == 3
    alone = plan.tasks[plan.per_object[0]]
    assert not alone.hole[225 - alone.crop.y0, 400 - alone.crop.x0], "the other object is left in place"


def test_near_objects_too_far_for_one_crop_are_open_in_each_others() -> None:
    image = noise_picture(2000, 600)
    objects = [
        object_at(PixelBox(300, 100, 620, 400), image),
        object_at(PixelBox(660, 100, 1000, 400), image),
    ]
    plan = plan_removal(image, objects)
    assert len(plan.full) == 2
    for index in plan.full:
        task = plan.tasks[index]
        assert task.scale == 1
        for x in (610, 670):
            if task.crop.x0 <= x < task.crop.x1:
                assert task.hole[250 - task.crop.y0, x - task.crop.x0]


def test_overlapping_holes_share_a_scaled_crop() -> None:
    image = RgbImage(np.full((700, 2000, 3), 120, np.uint8))
    objects = [
        object_at(PixelBox(100, 100, 800, 600), image),
        object_at(PixelBox(790, 100, 1500, 600), image),
    ]
    plan = plan_removal(image, objects, want_each=False)
    assert len(plan.full) == 1
    task = plan.tasks[plan.full[0]]
    assert task.scale < 1 and task.pixels.shape == (512, 512, 3)
    assert (remove_all(image, plan).pixels[110:590, 110:1490] == 9).all()


def test_each_pair_of_objects_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = inpaint._share_a_pixel
    monkeypatch.setattr(
        inpaint, "_share_a_pixel", lambda one, other: compared.append((one, other)) or compare(one, other)
    )
    image = noise_picture(900, 200)
    places = [200 * (i % 5) for i in range(10)]  # each lies where the fifth after it does
    objects = [object_at(PixelBox(x, 0, x + 60, 60), image) for x in places]
    plan_removal(image, objects)
    assert len(compared) <= 45


def test_one_object_is_planned_once_for_both_pictures() -> None:
    image = noise_picture(500, 400)
    plan = plan_removal(image, [object_at(PixelBox(100, 100, 200, 200), image)])
    assert len(plan.tasks) == 1 and plan.per_object == plan.full == (0,)


def test_only_what_is_wanted_is_planned() -> None:
    image = noise_picture(500, 400)
    objects = [object_at(PixelBox(100, 100, 200, 200), image)]
    each = plan_removal(image, objects, want_full=False)
    assert each.full == () and each.full_holes == () and len(each.tasks) == 1
    neither = plan_removal(image, objects, want_each=False, want_full=False)
    assert neither.tasks == ()


def test_crop_is_shifted_inward_at_the_edge_of_the_picture() -> None:
    image = noise_picture(900, 800)
    plan = plan_removal(image, [object_at(PixelBox(880, 790, 900, 800), image)])
    assert plan.tasks[0].crop == PixelBox(900 - 256, 800 - 256, 900, 800)
    assert plan.tasks[0].scale == 1


def test_small_picture_is_mirrored_up_to_the_square() -> None:
    image = noise_picture(120, 70)
    task = plan_removal(image, [object_at(PixelBox(50, 20, 60, 40), image)]).tasks[0]
    assert task.crop == PixelBox(0, 0, 120, 70) and task.pixels.shape == (256, 256, 3)
    assert np.array_equal(task.pixels[:70, :120], image.pixels)
    assert np.array_equal(task.pixels[70:139, :120], image.pixels[68::-1])
    assert np.array_equal(task.hole[70:139, :120], task.hole[:69, :120][::-1])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 900), (3000, 1), (2, 2)])
def test_picture_of_extreme_shape_is_planned_and_filled(width: int, height: int) -> None:
    image = noise_picture(width, height)
    item = object_at(PixelBox(0, 0, min(width, 40), min(height, 40)), image)
    plan = plan_removal(image, [item])
    assert_sound(plan.tasks[0], image, (256, 512))
    result = composite(image, [(plan.tasks[0], filled(plan.tasks[0]), item.hole)])
    assert (result.pixels[item.bbox.slices] == 9).all()


def test_hole_of_a_scaled_crop_is_open_where_any_of_it_was() -> None:
    image = noise_picture(4000, 3000)
    item = object_at(PixelBox(300, 300, 3600, 2700), image, dilate_px=3, feather_px=0)
    task = plan_removal(image, [item]).tasks[0]
    assert task.scale < 1
    opened = task.hole[shown(task)]
    covered = coverage(weight_map(image, [item.hole])[task.crop.slices] > 0, opened.shape)
    assert opened[covered > 0.005].all() and not opened[covered == 0].any()


def test_scaled_fill_is_enlarged_into_its_place() -> None:
    ramp = np.linspace(0, 250, 2000).astype(np.uint8)
    image = RgbImage(np.repeat(np.repeat(ramp[None, :, None], 1500, 0), 3, 2))
    item = object_at(PixelBox(500, 300, 1400, 1200), image, dilate_px=10, feather_px=5)
    plan = plan_removal(image, [item])
    task = plan.tasks[0]
    assert task.scale < 1
    result = composite(image, [(task, Fill(task.pixels), item.hole)])
    difference = np.abs(result.pixels.astype(int) - image.pixels.astype(int))
    assert difference.max() <= 2, "a fill equal to the picture gives the picture"


def test_composite_mixes_by_weight_and_rounds_to_nearest() -> None:
    image = noise_picture(256, 256)
    fill = np.random.default_rng(5).integers(0, 256, (256, 256, 3), np.uint8)
    weights = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    box = PixelBox(0, 0, 256, 256)
    task = FillTask(box, 1.0, image.pixels, np.ones((256, 256), bool))
    result = composite(image, [(task, Fill(fill), WeightRegion(box, weights))])
    share = weights[..., None] / 255
    expected = np.floor(image.pixels * (1 - share) + fill * share + 0.5)
    exact_half = np.isclose((image.pixels * (1 - share) + fill * share) % 1, 0.5)
    assert np.array_equal(result.pixels[~exact_half], expected[~exact_half])
    assert np.array_equal(result.pixels[:, 0], image.pixels[:, 0])
    assert np.array_equal(result.pixels[:, 255], fill[:, 255])


def test_composite_leaves_its_arguments_alone() -> None:
    image = noise_picture(300, 300)
    before = image.pixels.copy()
    item = object_at(PixelBox(100, 100, 150, 160), image)
    plan = plan_removal(image, [item])
    result = composite(image, [(plan.tasks[0], filled(plan.tasks[0]), item.hole)])
    assert np.array_equal(image.pixels, before) and result.pixels is not image.pixels
    assert composite(image, []).pixels.tobytes() == before.tobytes()


def test_changed_area_is_the_weighted_pixels() -> None:
    image = RgbImage(np.zeros((200, 300, 3), np.uint8))
    item = object_at(PixelBox(100, 50, 150, 90), image, dilate_px=0)
    task = plan_removal(image, [item]).tasks[0]
    change = changed_area(image, composite(image, [(task, filled(task), item.hole)]))
    assert change.box == PixelBox(100, 50, 150, 90) and change.pixel_count == 50 * 40
    nothing = changed_area(image, image)
    assert nothing.box is None and nothing.pixel_count == 0
