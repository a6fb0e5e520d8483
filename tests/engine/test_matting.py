import cv2
import numpy as np
import pytest

from engine.matting import matte
from tests.engine.scenes import disc, iou, painted


@pytest.mark.parametrize("radius_px", [1, 2, 8, 23])
def test_alpha_is_exact_away_from_the_edge(radius_px: int) -> None:
    share = disc(700, 600, 330, 310, 200)
    alpha = matte(painted(share, noise=20).pixels, share > 0.5, radius_px)
    distance = cv2.distanceTransform((share > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((share <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    reach = 4 * radius_px + 6
    assert (alpha[distance > reach] == 255).all() and (alpha[outside > reach] == 0).all()


@pytest.mark.parametrize(("shift", "radius_px"), [(2, 4), (7, 16)])
def test_edge_moves_to_that_of_the_picture(shift: int, radius_px: int) -> None:
    share = disc(600, 500, 300, 250, 150)
    wrong = np.roll(share > 0.5, shift, axis=1)
    alpha = matte(painted(share).pixels, wrong, radius_px)
    assert iou(alpha >= 128, share > 0.5) > 0.99 > iou(wrong, share > 0.5)


def test_alpha_of_an_antialiased_edge_is_the_share_of_the_object() -> None:
    share = disc(400, 400, 200, 200, 120)
    alpha = matte(painted(share, noise=0).pixels, share > 0.5, 2)
    mixed = (share > 0.15) & (share < 0.85)
    assert np.abs(alpha[mixed] / 255 - share[mixed]).mean() < 0.25
    assert (alpha[share == 1] > 200).all() and (alpha[share == 0] < 55).all()


def test_edge_stays_narrow_where_the_picture_shows_none() -> None:
    picture = np.full((300, 300, 3), 120, np.uint8)
    mask = np.zeros((300, 300), bool)
    mask[:, 150:] = True
    row = matte(picture, mask, 16)[150].astype(int)
    assert 1 <= ((row > 0) & (row < 255)).sum() <= 6
    assert abs(int(np.argmax(row >= 128)) - 150) <= 1


def test_tiles_leave_no_seam() -> None:
    share = disc(900, 700, 450, 350, 250)
    picture = painted(share, noise=12).pixels
    whole = matte(picture, share > 0.5, 6)
    # A window that starts elsewhere is cut into other tiles.
    moved = matte(picture[36:, 52:], (share > 0.5)[36:, 52:], 6)
    assert np.abs(whole[36:, 52:].astype(int) - moved).max() <= 40
    assert np.abs(whole[36:, 52:].astype(int) - moved).mean() < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 2)])
def test_tiny_windows_are_matted(shape: tuple[int, int]) -> None:
    for value in (True, False):
        alpha = matte(np.zeros((*shape, 3), np.uint8), np.full(shape, value), 3)
        assert (alpha == (255 if value else 0)).all()


def test_arguments_are_left_alone() -> None:
    share = disc(100, 100, 50, 50, 20)
    mask = share > 0.5
    mask.flags.writeable = False
    assert matte(painted(share).pixels, mask, 2).shape == (100, 100)
