"""The prompt encoder of Segment Anything: taps and boxes as tokens.

Owns the random Fourier encoding of places. Mask prompts, which the
released network also takes, are not offered: their place is the learned "no mask" embedding.

Source: Segment Anything (Kirillov et al. 2023, Apache-2.0).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.mobile_sam.tiny_vit import STRIDE


class PlaceEncoding(nn.Module):
    """Random Fourier features of places in the unit square."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))

    def forward(self, places: Tensor) -> Tensor:
        """Places, float [..., 2] xy in 0..1 -> [..., dim]."""
        phase = 2 * math.pi * ((2 * places - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Embeds points by place and kind, and the grid of the embedding by place."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pe_layer = PlaceEncoding(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.no_mask_embed = nn.Embedding(1, dim)

    def forward(self, points: Tensor, labels: Tensor, grid: int) -> Tensor:
        """Tokens of the points.

        Args:
            points: float32 [B, P, 2] xy in the padded frame of `grid` * 16 pixels, +0.5 already added.
            labels: int64 [B, P]: 1 object, 0 not the object, 2 and 3 box corners, -1 no point, -2 filler.
            grid: cells of the embedding on each side.

        Returns:
            float32 [B, P, dim]; a filler's row means nothing and is to be masked out.
        """
        # Places stay in float32: in half precision a tap moves by pixels.
        with torch.autocast(points.device.type, enabled=False):
            placed = self.pe_layer(points / (grid * STRIDE))
        tables = [*self.point_embeddings, self.not_a_point_embed]
        kinds = torch.cat([table.get_parameter("weight") for table in tables])
        is_point = (labels >= 0).unsqueeze(-1)
        kind = torch.where(labels >= 0, labels, len(self.point_embeddings))
        return torch.where(is_point, placed, torch.zeros_like(placed)) + kinds[kind]

    def grid_places(self, grid: int) -> Tensor:
        """Encoding of the centres of all cells: [1, grid * grid, dim], row by row."""
        weight = self.no_mask_embed.weight
        centres = (torch.arange(grid, device=weight.device, dtype=weight.dtype) + 0.5) / grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        with torch.autocast(weight.device.type, enabled=False):
            places: Tensor = self.pe_layer(torch.stack([x, y], dim=-1).reshape(1, grid * grid, 2))
        return places
