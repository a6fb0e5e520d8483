"""The mask decoder of Segment Anything: prompt tokens and an embedding become masks.

Owns the two-way transformer, the upscaling and the heads. Rows of a batch are independent: each is
one object with its own embedding, so objects of different pictures decode together.

Source: Segment Anything (Kirillov et al. 2023, Apache-2.0).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.mobile_sam.attention import attend, is_traced
from engine.mobile_sam.tiny_vit import LayerNorm2d


@dataclass(frozen=True, slots=True)
class MaskDecoderConfig:
    """Sizes of a mask decoder; `cross_dim` is the inner width of attention between tokens and picture."""

    dim: int
    depth: int
    heads: int
    cross_dim: int
    hidden: int
    num_masks: int
    upscale_dims: tuple[int, int]
    iou_hidden: int
    iou_depth: int


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, heads * D] -> [B, heads, N, D]."""
    return x.reshape(x.shape[0], -1, heads, x.shape[2] // heads).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head attention with an inner width of its own."""

    def __init__(self, dim: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """[B, Q, dim], [B, K, dim] twice -> [B, Q, dim]; `allowed` bool [B, 1, 1, K] hides keys."""
        mixed = attend(
            split_heads(self.q_proj(query), self.heads),
            split_heads(self.k_proj(key), self.heads),
            split_heads(self.v_proj(value), self.heads),
            allowed,
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class TokensOnCells(Attention):
    """Few queries, the tokens, on thousands of keys, the cells.

    While it is traced, for OpenVINO, the projections of the cells are multiplied into the tokens' side:
    q (W x) is (q W) x. Cells are then neither projected nor split into heads. In real numbers nothing
    changes; in floating point the order of the sums does, so eager execution keeps the reference's.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """As `Attention`; no key may be hidden while it is traced."""
        if not is_traced() or allowed is not None:
            return super().forward(query, key, value, allowed)
        return self.reordered(query, key, value)

    def reordered(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[B, Q, dim], [B, K, dim] twice -> [B, Q, dim]."""
        batch, count, dim = query.shape
        asked = split_heads(self.q_proj(query), self.heads)  # [B, heads, Q, D]
        # The keys' bias adds the same to all keys of a query, which the softmax does not see.
        asked = asked @ (_by_head(self.k_proj.weight, self.heads) / math.sqrt(asked.shape[-1]))
        likeness = asked.flatten(1, 2) @ key.transpose(1, 2)  # [B, heads * Q, K]
        mixed = (torch.softmax(likeness, dim=-1) @ value).reshape(batch, self.heads, count, dim)
        mixed = mixed @ _by_head(self.v_proj.weight, self.heads).transpose(1, 2)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2) + self.v_proj.bias)
        return out


class CellsOnTokens(Attention):
    """Thousands of queries, the cells, on few keys, the tokens; traced as `TokensOnCells` is."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """As `Attention`; some keys must be hidden or not while it is traced."""
        if not is_traced() or allowed is None:
            return super().forward(query, key, value, allowed)
        return self.reordered(query, key, value, allowed)

    def reordered(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
        """[B, Q, dim], [B, K, dim] twice, bool [B, 1, 1, K] -> [B, Q, dim]."""
        offered = split_heads(self.k_proj(key), self.heads)  # [B, heads, K, D]
        batch, heads, count, inner = offered.shape
        offered = offered / math.sqrt(inner)
        bias = (offered @ self.q_proj.bias.reshape(heads, inner, 1)).flatten(1)  # [B, heads * K]
        offered = (offered @ _by_head(self.q_proj.weight, heads)).flatten(1, 2)  # [B, heads * K, dim]
        likeness = query @ offered.transpose(1, 2) + bias[:, None]
        likeness = likeness.reshape(batch, -1, heads, count).masked_fill(~allowed, -math.inf)
        outward = self.out_proj.weight.reshape(-1, heads, inner).permute(1, 2, 0)  # [heads, D, dim]
        given = (split_heads(self.v_proj(value), heads) @ outward).flatten(1, 2)
        out: Tensor = torch.softmax(likeness, dim=-1).flatten(2) @ given + self.out_proj.bias
        return out


def _by_head(weight: Tensor, heads: int) -> Tensor:
    """[heads * D, dim] -> [heads, D, dim]."""
    return weight.reshape(heads, -1, weight.shape[1])


class TokenPerceptron(nn.Module):
    """Two layers with ReLU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> the same shape."""
        out: Tensor = self.lin2(F.relu(self.lin1(x)))
        return out


class TwoWayLayer(nn.Module):
    """Tokens look at each other and at the picture, then the picture looks at the tokens."""

    def __init__(self, config: MaskDecoderConfig, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(config.dim, config.dim, config.heads)
        self.cross_attn_token_to_image = TokensOnCells(config.dim, config.cross_dim, config.heads)
        self.cross_attn_image_to_token = CellsOnTokens(config.dim, config.cross_dim, config.heads)
        self.mlp = TokenPerceptron(config.dim, config.hidden)
        self.norm1 = nn.LayerNorm(config.dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.norm3 = nn.LayerNorm(config.dim)
        self.norm4 = nn.LayerNorm(config.dim)

    def forward(
        self, tokens: Tensor, cells: Tensor, prompts: Tensor, places: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, dim] and cells [B, G * G, dim] -> both renewed.

        `prompts` (the tokens as they came in) and `places` are added back before every comparison.
        """
        if self.first:  # tokens are still the prompts themselves: nothing to add, no residual
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, allowed))
        else:
            placed = tokens + prompts
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens, allowed))
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, cells + places, cells))
        tokens = self.norm3(tokens + self.mlp(tokens))
        answer = self.cross_attn_image_to_token(cells + places, tokens + prompts, tokens, allowed)
        return tokens, self.norm4(cells + answer)


class TwoWayTransformer(nn.Module):
    """The stack of two-way layers and a last look of the tokens at the picture."""

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(config, index == 0) for index in range(config.depth))
        self.final_attn_token_to_image = TokensOnCells(config.dim, config.cross_dim, config.heads)
        self.norm_final_attn = nn.LayerNorm(config.dim)

    def forward(
        self, prompts: Tensor, cells: Tensor, places: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Prompts [B, T, dim], cells [B, G * G, dim], places [1, G * G, dim] -> tokens, cells."""
        tokens = prompts
        for layer in self.layers:
            tokens, cells = layer(tokens, cells, prompts, places, allowed)
        last = self.final_attn_token_to_image(tokens + prompts, cells + places, cells)
        return self.norm_final_attn(tokens + last), cells


class HeadPerceptron(nn.Module):
    """A few layers with ReLU between, from a token to an answer."""

    def __init__(self, dim: int, hidden: int, out: int, depth: int) -> None:
        super().__init__()
        widths = [dim] + [hidden] * (depth - 1) + [out]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim] -> [B, out]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class MaskDecoder(nn.Module):
    """The whole decoder."""

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        wide, narrow = config.upscale_dims
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, config.dim)
        self.mask_tokens = nn.Embedding(config.num_masks, config.dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(config.dim, wide, 2, 2),
            LayerNorm2d(wide),
            nn.GELU(),
            nn.ConvTranspose2d(wide, narrow, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            HeadPerceptron(config.dim, config.dim, narrow, 3) for _ in range(config.num_masks)
        )
        self.iou_prediction_head = HeadPerceptron(
            config.dim, config.iou_hidden, config.num_masks, config.iou_depth
        )

    def forward(
        self, cells: Tensor, places: Tensor, points: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode one object a row.

        Args:
            cells: float32 [B, dim, G, G], the embedding of the row's picture with "no mask" added.
            places: float32 [1, G * G, dim], the encoding of the cells' centres.
            points: float32 [B, P, dim] prompt tokens.
            allowed: bool [B, P], false where a token is filler and must have no influence.

        Returns:
            Logits float32 [B, M, 4 * G, 4 * G] (> 0 is the object; mask 0 is the single answer, the
            others are for ambiguous prompts) and their predicted IoU float32 [B, M].
        """
        grid = cells.shape[-1]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])[None]
        own = own.expand(points.shape[0], -1, -1)
        tokens = torch.cat([own, points], dim=1)
        seen = torch.cat([torch.ones_like(own[..., 0], dtype=torch.bool), allowed], dim=1)
        tokens, flat = self.transformer(
            tokens, cells.flatten(2).transpose(1, 2), places, seen[:, None, None, :]
        )
        # Traced, pictures stay channels last from here on, as convolutions execute them: copies are spared.
        traced = is_traced()
        if traced:
            cells = flat.unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        else:
            cells = flat.transpose(1, 2).unflatten(2, (grid, grid))
        upscaled = self.output_upscaling(cells)
        filters = torch.stack(
            [head(tokens[:, 1 + index]) for index, head in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        if traced:
            products = (upscaled.permute(0, 2, 3, 1).flatten(1, 2) @ filters.transpose(1, 2)).transpose(1, 2)
        else:
            products = filters @ upscaled.flatten(2)
        logits = products.unflatten(2, (4 * grid, 4 * grid))
        return logits, self.iou_prediction_head(tokens[:, 0])
