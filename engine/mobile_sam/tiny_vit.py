"""TinyViT, the image encoder of MobileSAM.

Owns the network from normalised pixels to the embedding that prompts are decoded on. Knows
neither checkpoints' files nor prompts. Module names follow the released `mobile_sam.pt`.

Sources: TinyViT (Wu et al. 2022, MIT), MobileSAM (Zhang et al. 2023, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.mobile_sam.attention import attend_with_bias

STRIDE = 16  # pixels of the padded frame per cell of the embedding, on each side


@dataclass(frozen=True, slots=True)
class AttentionStage:
    """One of the three transformer stages; `hidden` is the width inside its perceptrons."""

    dim: int
    depth: int
    heads: int
    window: int
    hidden: int


@dataclass(frozen=True, slots=True)
class TinyVitConfig:
    """Sizes of a TinyViT encoder: a stem, one convolutional stage, three transformer stages, a neck."""

    stem_dim: int
    conv_dim: int
    conv_depth: int
    conv_hidden: int
    stages: tuple[AttentionStage, AttentionStage, AttentionStage]
    out_dim: int


class ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(dim_in, dim_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim_in, H, W] -> [B, dim_out, H / stride, W / stride]."""
        normalised: Tensor = self.bn(self.c(x))
        return normalised


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a feature map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim, H, W] -> the same shape."""
        # Written out in the reference's order: see `attention.py` on why that matters.
        centred = x - x.mean(1, keepdim=True)
        normalised = centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * normalised + self.bias[:, None, None]


class Stem(nn.Module):
    """Two strided convolutions: pixels to a quarter of the resolution."""

    def __init__(self, stem_dim: int, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, stem_dim, 3, 2), nn.GELU(), ConvNorm(stem_dim, dim, 3, 2))

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, dim, S / 4, S / 4]."""
        features: Tensor = self.seq(pixels)
        return features


class InvertedBottleneck(nn.Module):
    """MBConv: widen, depthwise convolution, narrow, residual."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim, H, W] -> the same shape."""
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class Downsample(nn.Module):
    """Between stages: changes the width and, with stride 2, halves the resolution."""

    def __init__(self, dim_in: int, dim_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim_in, dim_out)
        self.conv2 = ConvNorm(dim_out, dim_out, 3, stride, groups=dim_out)
        self.conv3 = ConvNorm(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim_in, H, W] -> [B, dim_out, H / stride, W / stride]."""
        reduced: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return reduced


def offset_table(window: int, table_side: int) -> Tensor:
    """Which learned bias each pair of cells in a window uses.

    The bias depends on the distance of the two cells in x and in y alone, whatever the direction;
    distances are numbered row by row in a table of `table_side` x `table_side`. Returns int64
    [window * window, window * window].
    """
    cells = torch.arange(window)
    apart = (cells[:, None] - cells[None, :]).abs()
    pairs = apart[:, None, :, None] * table_side + apart[None, :, None, :]  # y, x, y', x'
    return pairs.reshape(window * window, window * window)


class WindowAttention(nn.Module):
    """Multi-head attention among the cells of one window, with a learned bias per distance."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("offsets", offset_table(window, window), persistent=False)

    def forward(self, x: Tensor, side: int) -> Tensor:
        """[N, side * side, dim] windows -> the same shape; `side` <= the trained window."""
        offsets = self.get_buffer("offsets") if side == self.window else offset_table(side, self.window)
        bias = self.attention_biases[:, offsets]  # [heads, cells, cells]
        # Each head's query, key and value lie together in the released weights. Moved apart in one step.
        parts = self.qkv(self.norm(x)).reshape(x.shape[0], -1, self.heads, 3, x.shape[2] // self.heads)
        query, key, value = parts.permute(3, 0, 2, 1, 4)
        mixed = attend_with_bias(query, key, value, bias)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


def as_map(cells: Tensor, grid: int) -> Tensor:
    """[B, grid * grid, dim] -> [B, grid, grid, dim]."""
    return cells.reshape(cells.shape[0], grid, grid, cells.shape[2])


class Perceptron(nn.Module):
    """Normalisation, then two layers with GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class TransformerBlock(nn.Module):
    """Window attention, a depthwise convolution across windows, a perceptron."""

    def __init__(self, stage: AttentionStage) -> None:
        super().__init__()
        self.window = stage.window
        self.attn = WindowAttention(stage.dim, stage.heads, stage.window)
        self.local_conv = ConvNorm(stage.dim, stage.dim, 3, groups=stage.dim)
        self.mlp = Perceptron(stage.dim, stage.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim, G, G] -> the same shape."""
        # Sums are made of lists of cells: of maps, OpenVINO makes them in an order that it then undoes.
        grid, cells = x.shape[2], (x.shape[0], -1, x.shape[1])
        attended = x.permute(0, 2, 3, 1).reshape(cells)
        attended = attended + self._attend(as_map(attended, grid)).reshape(cells)
        local: Tensor = self.local_conv(as_map(attended, grid).permute(0, 3, 1, 2))
        local = local.permute(0, 2, 3, 1).reshape(cells)
        return as_map(local + self.mlp(local), grid).permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """Attention in windows over [B, G, G, dim]; zeros fill the last windows, unmasked, as trained."""
        grid, dim = x.shape[1], x.shape[3]
        side = min(self.window, grid)  # a grid smaller than the window is one window
        count = -(-grid // side)
        missing = count * side - grid
        padded = F.pad(x, (0, 0, 0, missing, 0, missing)) if missing else x
        windows = padded.reshape(-1, count, side, count, side, dim).transpose(2, 3)
        answer = self.attn(windows.reshape(-1, side * side, dim), side)
        joined = answer.reshape(-1, count, count, side, side, dim).transpose(2, 3)
        whole: Tensor = joined.reshape(-1, count * side, count * side, dim)
        return whole[:, :grid, :grid]


class Stage(nn.Module):
    """Blocks of one width, and the way down to the next stage if there is one."""

    def __init__(self, blocks: list[nn.Module], downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """[B, dim, H, W] -> what the next stage takes."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x


class TinyVit(nn.Module):
    """The whole encoder."""

    def __init__(self, config: TinyVitConfig) -> None:
        super().__init__()
        first, second, third = config.stages
        self.patch_embed = Stem(config.stem_dim, config.conv_dim)
        conv_blocks: list[nn.Module] = [
            InvertedBottleneck(config.conv_dim, config.conv_hidden) for _ in range(config.conv_depth)
        ]
        self.layers = nn.ModuleList(
            [
                Stage(conv_blocks, Downsample(config.conv_dim, first.dim, 2)),
                Stage(_transformer_blocks(first), Downsample(first.dim, second.dim, 2)),
                # The last stage stays at 1/16, so that the embedding keeps its resolution.
                Stage(_transformer_blocks(second), Downsample(second.dim, third.dim, 1)),
                Stage(_transformer_blocks(third), None),
            ]
        )
        self.neck = nn.Sequential(
            nn.Conv2d(third.dim, config.out_dim, 1, bias=False),
            LayerNorm2d(config.out_dim),
            nn.Conv2d(config.out_dim, config.out_dim, 3, padding=1, bias=False),
            LayerNorm2d(config.out_dim),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [B, 3, S, S] normalised and padded -> float32 [B, out_dim, S / 16, S / 16]."""
        features = self.patch_embed(pixels)
        for stage in self.layers:
            features = stage(features)
        embedding: Tensor = self.neck(features)
        return embedding


def _transformer_blocks(stage: AttentionStage) -> list[nn.Module]:
    return [TransformerBlock(stage) for _ in range(stage.depth)]
