"""The bundled segmentation network: its sizes, its start, its file.

Owns which MobileSAM is trained here and how it is written as a checkpoint of the released names.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.checkpoint_formats import read_tensors
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.mask_decoder import MaskDecoderConfig
from engine.mobile_sam.network import UNUSED, MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.tiny_vit import AttentionStage, TinyVitConfig

# Windows divide the grids at 320 px (40, 20, 20): no padding, and the last stages see everything.
BUNDLED = MobileSamConfig(
    image_size=320,
    encoder=TinyVitConfig(
        stem_dim=16,
        conv_dim=24,
        conv_depth=1,
        conv_hidden=96,
        stages=(
            AttentionStage(dim=64, depth=2, heads=2, window=8, hidden=256),
            AttentionStage(dim=128, depth=4, heads=4, window=20, hidden=512),
            AttentionStage(dim=160, depth=2, heads=5, window=20, hidden=640),
        ),
        out_dim=128,
    ),
    decoder=MaskDecoderConfig(
        dim=128,
        depth=2,
        heads=4,
        cross_dim=64,
        hidden=512,
        num_masks=4,
        upscale_dims=(32, 16),
        iou_hidden=128,
        iou_depth=3,
    ),
)


class MobileSamPair(nn.Module):
    """Encoder and decoder trained as one."""

    def __init__(self, config: MobileSamConfig) -> None:
        super().__init__()
        self.encoder = MobileSamEncoder(config)
        self.decoder = MobileSamDecoder(config)
        # Convolutions on a CPU are faster with the channels last.
        for value in self.parameters():
            if value.ndim == 4:
                value.data = value.data.contiguous(memory_format=torch.channels_last)

    def take_weights(self, checkpoint: Path) -> None:
        """Begin from a checkpoint of the same widths, whose windows may be smaller.

        Cells farther apart than any it knows get the bias of the farthest that it knows.
        """
        stored, _ = read_tensors(checkpoint)
        for part in (self.encoder, self.decoder):
            tensors = part.state_dict()
            for name in tensors.keys() & stored.keys():
                shape = tensors[name].shape
                value = _enlarged(stored[name], shape) if name.endswith("attention_biases") else stored[name]
                tensors[name] = value.reshape(shape)
            part.load_state_dict(tensors)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by their released names, without those that inference does not need."""
        both = {**self.encoder.state_dict(), **self.decoder.state_dict()}
        return {name: value for name, value in both.items() if not UNUSED.match(name)}


def _enlarged(biases: Tensor, shape: torch.Size) -> Tensor:
    """Biases [heads, side * side] by distance, for larger windows: `shape` is [heads, larger * larger]."""
    heads, side, larger = shape[0], isqrt(biases.shape[1]), isqrt(shape[1])
    missing = larger - side
    table = F.pad(biases.reshape(1, heads, side, side), (0, missing, 0, missing), mode="replicate")
    return table.reshape(shape)


def save_checkpoint(pair: MobileSamPair, image_size: int, path: Path, notes: Mapping[str, str]) -> None:
    """Write a pair in half precision, with what shapes cannot tell and `notes` as metadata.

    `image_size` is the side in pixels of the frame that it was trained on last.
    """
    heads = pair.decoder.config.decoder.heads
    metadata = {
        "image_size": str(image_size),
        "num_heads": str(heads),
        "first_mask": "single",
        "closer_look": "1.25",
        **notes,
    }
    tensors = {name: value.detach().to(torch.float16).contiguous() for name, value in pair.tensors().items()}
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, partial, metadata)
    partial.chmod(0o644)  # safetensors leaves it readable by its owner alone
    partial.rename(path)
