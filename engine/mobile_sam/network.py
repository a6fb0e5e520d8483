"""MobileSAM as two modules that load one checkpoint.

Owns the assembly and loading by the names of the released `mobile_sam.pt`. Encoder and decoder are
separate because they run in different processes. Reading files is `engine.checkpoints`'s work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.mask_decoder import MaskDecoder
from engine.mobile_sam.point_labels import FILLER
from engine.mobile_sam.prompt_encoder import PromptEncoder
from engine.mobile_sam.tiny_vit import TinyVit

PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
# In the released file, of no use here: the classifier, mask prompts, training's counters.
UNUSED = re.compile(
    r"image_encoder\.(head|norm_head)\.|prompt_encoder\.mask_downscaling\.|.*\.num_batches_tracked$"
)


class MobileSamEncoder(nn.Module):
    """Pixels to embeddings."""

    def __init__(self, config: MobileSamConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = TinyVit(config.encoder)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [B, 3, S, S] normalised and padded -> float32 [B, C, S / 16, S / 16]."""
        embedding: Tensor = self.image_encoder(pixels)
        return embedding

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> MobileSamEncoder:
        """The encoder of a whole checkpoint, in float32, ready to infer; see `load`."""
        encoder = cls(MobileSamConfig.from_tensors(tensors, metadata))
        encoder.load(tensors)
        return encoder.eval()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this half's tensors out of a whole checkpoint.

        Raises:
            CheckpointError: names are missing or unexpected, or shapes differ; they are named.
        """
        _load(self, tensors)


class MobileSamDecoder(nn.Module):
    """Embeddings and prompts to masks."""

    def __init__(self, config: MobileSamConfig) -> None:
        super().__init__()
        self.config = config
        self.prompt_encoder = PromptEncoder(config.decoder.dim)
        self.mask_decoder = MaskDecoder(config.decoder)

    def forward(self, embeddings: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Decode one object a row; rows may belong to different pictures.

        Args:
            embeddings: float32 [B, C, G, G], the row's picture.
            points: float32 [B, P, 2] xy in the padded frame, +0.5 already added.
            labels: int64 [B, P]: 1 object, 0 not the object, 2 and 3 the box's corners, -1 the point
                that a prompt without a box ends with, -2 filler without influence.

        Returns:
            Logits float32 [B, M, 4 * G, 4 * G] (> 0 is the object; mask 0 is the single answer, 1..
            the ambiguous ones) and predicted IoU float32 [B, M].
        """
        grid = embeddings.shape[-1]
        tokens = self.prompt_encoder(points, labels, grid)
        cells = embeddings + self.prompt_encoder.no_mask_embed.weight[..., None, None]
        answer: tuple[Tensor, Tensor] = self.mask_decoder(
            cells, self.prompt_encoder.grid_places(grid), tokens, labels != FILLER
        )
        return answer

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> MobileSamDecoder:
        """The decoder of a whole checkpoint, in float32, ready to infer; see `load`."""
        decoder = cls(MobileSamConfig.from_tensors(tensors, metadata))
        decoder.load(tensors)
        return decoder.eval()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this half's tensors out of a whole checkpoint.

        Raises:
            CheckpointError: names are missing or unexpected, or shapes differ; they are named.
        """
        _load(self, tensors)


def _load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    wanted = {name: value for name, value in module.state_dict().items() if not UNUSED.match(name)}
    own_parts = tuple(part for part in PARTS if any(name.startswith(part) for name in wanted))
    useful = {name: value for name, value in tensors.items() if not UNUSED.match(name)}
    unexpected = [
        name
        for name in useful
        if name not in wanted and (name.startswith(own_parts) or not name.startswith(PARTS))
    ]
    missing = [name for name in wanted if name not in useful]
    differing = [
        f"{name} {tuple(useful[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in useful and useful[name].shape != wanted[name].shape
    ]
    complaints = [
        f"{what}: {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing))
        if names
    ]
    if complaints:
        raise CheckpointError("not a MobileSAM checkpoint; tensors " + "; ".join(complaints))
    module.load_state_dict({name: useful[name].to(torch.float32) for name in wanted}, strict=False)


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
