import cv2
import numpy as np
import pytest

from engine.colour_cut import cut_by_colour
from tests.engine.scenes import disc, iou, painted


def vague(share: np.ndarray, x: int, y: int, reach: float) -> np.ndarray:
    """Logits of a network that knows where the object is and nothing of its outline."""
    rows, columns = np.mgrid[: share.shape[0], : share.shape[1]]
    distance = np.hypot(columns - x, rows - y)
    return (2.5 - 4.5 * distance / reach).clip(-6, 1.9).astype(np.float32)


@pytest.mark.parametrize("size", [(160, 120), (900, 700)])
def test_vague_logits_become_the_outline_of_the_colours(size: tuple[int, int]) -> None:
    width, height = size
    share = disc(width, height, width // 2, height // 2, height // 4)
    logits = vague(share, width // 2 + height // 10, height // 2, height * 0.35)
    mask = cut_by_colour(painted(share, noise=10).pixels, logits)
    assert iou(mask, share > 0.5) > 0.95 > iou(logits > 0, share > 0.5) + 0.2


def test_in_clutter_the_network_is_believed_and_not_the_colours() -> None:
    """Object and background of the same colours, in patches: their mixtures differ by chance alone."""
    patches = np.random.default_rng(3).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    picture = cv2.resize(patches, (320, 240), interpolation=cv2.INTER_NEAREST)
    logits = vague(disc(320, 240, 160, 120, 60), 160, 120, 90)
    assert iou(cut_by_colour(picture, logits), logits > 0) > 0.85


def test_sure_logits_are_not_overruled_by_colour() -> None:
    share = disc(300, 200, 150, 100, 40)
    logits = np.full((200, 300), -5, np.float32)
    logits[10:60, 10:90] = 5
    mask = cut_by_colour(painted(share).pixels, logits)
    assert iou(mask, logits > 0) > 0.95


def test_taps_overrule_the_logits() -> None:
    share = np.maximum(disc(300, 200, 75, 100, 40), disc(300, 200, 225, 100, 40))
    logits = np.where(share > 0.5, 0.5, -1.0).astype(np.float32)
    mask = cut_by_colour(painted(share).pixels, logits, wanted=[(75, 100)], unwanted=[(225, 100)])
    assert mask[100, 75] and not mask[100, 225]


def test_same_call_gives_the_same_mask() -> None:
    share = disc(300, 200, 150, 100, 50)
    picture = painted(share, noise=40).pixels
    logits = vague(share, 140, 100, 80)
    assert np.array_equal(cut_by_colour(picture, logits), cut_by_colour(picture, logits))


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_logits_of_one_kind_are_returned_as_they_are(value: float) -> None:
    logits = np.full((50, 60), value, np.float32)
    assert (cut_by_colour(np.zeros((50, 60, 3), np.uint8), logits) == (value > 0)).all()


def test_tiny_window_is_thresholded() -> None:
    logits = np.array([[-1, 1, 2]], np.float32)
    assert cut_by_colour(np.zeros((1, 3, 3), np.uint8), logits).tolist() == [[False, True, True]]


def test_points_outside_of_the_window_are_ignored() -> None:
    share = disc(300, 200, 150, 100, 50)
    picture, logits = painted(share).pixels, vague(share, 150, 100, 80)
    points = [(-5, 3), (300, 3), (3, 200)]
    assert np.array_equal(cut_by_colour(picture, logits, points, points), cut_by_colour(picture, logits))
