import numpy as np

from engine.total_variation import divide, edge_weights
from tests.engine.scenes import disc, iou, painted


def test_noise_goes_and_the_object_stays() -> None:
    share = disc(80, 60, 40, 30, 16)
    noise = np.random.default_rng(0).normal(0, 3, share.shape)
    cost = (np.where(share > 0.5, -2, 2) + noise).astype(np.float32)
    flat = edge_weights(np.zeros((60, 80, 3), np.uint8))
    mask = divide(cost, flat, 6.0, (cost < 0).astype(np.float32), 200) > 0.5
    assert iou(mask, share > 0.5) > 0.93 > iou(cost < 0, share > 0.5) + 0.2


def test_the_boundary_runs_along_the_edge_of_the_picture_where_the_costs_leave_it_open() -> None:
    share = disc(80, 60, 40, 30, 16)
    cost = np.zeros(share.shape, np.float32)
    cost[26:34, 36:44], cost[:3], cost[-3:], cost[:, :3], cost[:, -3:] = -50, 50, 50, 50, 50
    start = (cost < 0).astype(np.float32)
    mask = divide(cost, edge_weights(painted(share, noise=1).pixels), 5.0, start, 1500) > 0.5
    assert iou(mask, share > 0.5) > 0.95


def test_arguments_are_not_written_to() -> None:
    share = disc(40, 30, 20, 15, 8)
    cost, start = (0.5 - share).astype(np.float32), share.copy()
    for array in (cost, start):
        array.flags.writeable = False
    divide(cost, edge_weights(painted(share).pixels), 1.0, start, 5)
