"""The sizes of a MobileSAM network, read from its checkpoint.

Owns which tensor tells which dimension. Shapes cannot tell the padded frame's side, the decoder's heads
and which mask to trust: those come from the checkpoint's metadata, the released values being the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.errors import CheckpointError
from engine.mobile_sam.mask_decoder import MaskDecoderConfig
from engine.mobile_sam.tiny_vit import STRIDE, AttentionStage, TinyVitConfig


@dataclass(frozen=True, slots=True)
class MobileSamConfig:
    """Sizes of a MobileSAM network; `image_size` is the side of its padded frame in pixels.

    `single_first`: its single mask answers an ambiguous prompt better than the one of the others whose
    predicted IoU is highest.
    `closer_look`: it finds an object better in the part of the picture around it, whose side is that many
    times the object's; 0: it does not (`engine.closer_look`).
    """

    image_size: int
    encoder: TinyVitConfig
    decoder: MaskDecoderConfig
    single_first: bool = False
    closer_look: float = 0.0

    @property
    def grid(self) -> int:
        """Cells of the embedding on each side."""
        return self.image_size // STRIDE

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> MobileSamConfig:
        """Read a checkpoint's sizes.

        Args:
            tensors: all tensors by their released names.
            metadata: what shapes cannot tell, with the released network's values as defaults:
                `image_size` (pixels, 1024), `num_heads` of the decoder (8), `first_mask` for an
                ambiguous prompt (`best` by predicted IoU, or `single`) and `closer_look` (times, 0).

        Raises:
            CheckpointError: a tensor that tells a size is missing, or the sizes make no network.
        """
        reader = _Shapes(tensors)
        image_size = _positive(metadata, "image_size", 1024)
        heads = _positive(metadata, "num_heads", 8)
        first = metadata.get("first_mask", "best")
        if first not in ("best", "single"):
            raise CheckpointError(f"first_mask in the checkpoint's metadata is {first!r}: best or single")
        look = metadata.get("closer_look", "0")
        try:
            closer_look = float(look)
        except ValueError:
            closer_look = float("nan")
        if closer_look != 0 and not 1 <= closer_look <= 10:
            raise CheckpointError(f"closer_look in the checkpoint's metadata is {look!r}: 0, or 1 to 10")
        config = cls(image_size, reader.encoder(), reader.decoder(heads), first == "single", closer_look)
        if image_size % STRIDE:
            raise CheckpointError(f"image_size {image_size} is not a multiple of {STRIDE}")
        for inner in (config.decoder.dim, config.decoder.cross_dim):
            if inner % heads:
                raise CheckpointError(f"num_heads {heads} does not divide the decoder's width {inner}")
        for stage in config.encoder.stages:
            if stage.dim % stage.heads:
                raise CheckpointError(f"{stage.heads} heads do not divide an encoder stage of {stage.dim}")
        return config


def _positive(metadata: Mapping[str, str], key: str, default: int) -> int:
    text = metadata.get(key, str(default))
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise CheckpointError(f"{key} in the checkpoint's metadata is {text!r}, not a positive number")
    return int(text)


class _Shapes:
    """Reads sizes off the shapes of tensors, complaining by name."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def encoder(self) -> TinyVitConfig:
        first, second, third = (self._stage(index) for index in (1, 2, 3))
        return TinyVitConfig(
            stem_dim=self._size("image_encoder.patch_embed.seq.0.c.weight", 0, 4),
            conv_dim=self._size("image_encoder.patch_embed.seq.2.c.weight", 0, 4),
            conv_depth=self._count("image_encoder.layers.0.blocks.", "conv1.c.weight"),
            conv_hidden=self._size("image_encoder.layers.0.blocks.0.conv1.c.weight", 0, 4),
            stages=(first, second, third),
            out_dim=self._size("image_encoder.neck.0.weight", 0, 4),
        )

    def decoder(self, heads: int) -> MaskDecoderConfig:
        layer = "mask_decoder.transformer.layers."
        return MaskDecoderConfig(
            dim=self._size("mask_decoder.iou_token.weight", 1, 2),
            depth=self._count(layer, "norm1.weight"),
            heads=heads,
            cross_dim=self._size(f"{layer}0.cross_attn_token_to_image.q_proj.weight", 0, 2),
            hidden=self._size(f"{layer}0.mlp.lin1.weight", 0, 2),
            num_masks=self._size("mask_decoder.mask_tokens.weight", 0, 2),
            upscale_dims=(
                self._size("mask_decoder.output_upscaling.0.weight", 1, 4),
                self._size("mask_decoder.output_upscaling.3.weight", 1, 4),
            ),
            iou_hidden=self._size("mask_decoder.iou_prediction_head.layers.0.weight", 0, 2),
            iou_depth=self._count("mask_decoder.iou_prediction_head.layers.", "weight"),
        )

    def _stage(self, index: int) -> AttentionStage:
        blocks = f"image_encoder.layers.{index}.blocks."
        biases = f"{blocks}0.attn.attention_biases"
        offsets = self._size(biases, 1, 2)
        window = round(offsets**0.5)
        if window * window != offsets:
            raise CheckpointError(f"{biases} has {offsets} columns: its windows are not square")
        return AttentionStage(
            dim=self._size(f"{blocks}0.attn.proj.weight", 0, 2),
            depth=self._count(blocks, "attn.proj.weight"),
            heads=self._size(biases, 0, 2),
            window=window,
            hidden=self._size(f"{blocks}0.mlp.fc1.weight", 0, 2),
        )

    def _size(self, name: str, axis: int, rank: int) -> int:
        if name not in self.tensors:
            raise CheckpointError(f"not a MobileSAM checkpoint: tensor {name} is missing")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != rank or min(shape) == 0:
            raise CheckpointError(f"not a MobileSAM checkpoint: tensor {name} has shape {shape}")
        return shape[axis]

    def _count(self, prefix: str, suffix: str) -> int:
        name = re.compile(re.escape(prefix) + r"(\d+)\." + re.escape(suffix))
        found = (name.fullmatch(candidate) for candidate in self.tensors)
        return _run_length(int(match[1]) for match in found if match)


def _run_length(indices: Iterable[int]) -> int:
    """How many of 0, 1, 2, ... come before the first gap."""
    present = set(indices)
    length = 0
    while length in present:
        length += 1
    return length
