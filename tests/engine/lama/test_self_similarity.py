"""The shifts under which a picture repeats itself."""

from __future__ import annotations

import torch

from engine.lama.self_similarity import find_shifts

CELL_PX = 4


def known_but_the_middle(side: int) -> torch.Tensor:
    known = torch.ones(1, 1, side, side)
    known[:, :, side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = 0
    return known


def test_the_periods_of_a_pattern_are_found() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    period_y, period_x = 9, 13
    pattern = torch.stack([torch.sin(2 * torch.pi * y / period_y), torch.cos(2 * torch.pi * x / period_x)])
    known = known_but_the_middle(64)
    shifts = find_shifts((pattern * known)[None][0], known, CELL_PX)
    best = shifts.misfit.flatten(1).topk(8, largest=False).indices
    rows, columns = (
        shifts.cell_rows.flatten(1).gather(1, best),
        shifts.cell_columns.flatten(1).gather(1, best),
    )
    assert (rows % period_y == 0).all()
    assert (columns % period_x == 0).all()


def test_shifts_along_an_edge_keep_to_it_within_a_cell() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    edge = (y - 22 - 0.3 * x + 0.5).clamp(0, 1)[None, None]
    known = known_but_the_middle(64)
    shifts = find_shifts(edge * known + 0.5 * (1 - known), known, CELL_PX)
    best = shifts.misfit.flatten(1).topk(2, largest=False).indices
    rows, columns = (s.flatten(1).gather(1, best) for s in (shifts.pixel_rows, shifts.pixel_columns))
    across = (rows - 0.3 * columns) / (1 + 0.3**2) ** 0.5
    assert across.abs().max() < CELL_PX


def test_features_of_the_hole_count_little_and_nothing_known_is_no_error() -> None:
    shifts = find_shifts(torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8), CELL_PX)
    assert torch.isfinite(shifts.misfit).all()
