"""From settings to loaded networks, ready to be called.

Owns the way that every network takes at a replica's start: checkpoint, module, runtime, warm-up.
Fails loudly: a replica that cannot load its network never becomes ready.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.checkpoints import Checkpoint, NetworkName, load_checkpoint
from engine.lama.fill import Inpainter
from engine.lama.network import LamaNetwork
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder
from settings import Settings

log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """MobileSAM's image encoder."""

    encoder: PictureEncoder
    digest: str
    description: dict[str, str]


@dataclass(frozen=True, slots=True)
class LoadedDecoder:
    """MobileSAM's prompt and mask decoder."""

    decoder: PromptDecoder
    image_size: int
    description: dict[str, str]


@dataclass(frozen=True, slots=True)
class LoadedInpainter:
    """LaMa's generator."""

    inpainter: Inpainter
    description: dict[str, str]


def load_encoder(settings: Settings) -> LoadedEncoder:
    """MobileSAM's image encoder, warmed up.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
    """
    checkpoint = _checkpoint(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    image_size = MobileSamConfig.from_tensors(checkpoint.tensors, checkpoint.metadata).image_size
    module = MobileSamEncoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    run = _eager(module)
    return LoadedEncoder(PictureEncoder(run, image_size), checkpoint.digest, _describe(checkpoint))


def load_decoder(settings: Settings) -> LoadedDecoder:
    """MobileSAM's prompt and mask decoder, warmed up.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
    """
    checkpoint = _checkpoint(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    image_size = MobileSamConfig.from_tensors(checkpoint.tensors, checkpoint.metadata).image_size
    module = MobileSamDecoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    return LoadedDecoder(PromptDecoder(_eager(module), image_size), image_size, _describe(checkpoint))


def load_inpainter(settings: Settings) -> LoadedInpainter:
    """LaMa's generator, warmed up.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
    """
    checkpoint = _checkpoint(settings, NetworkName.LAMA, settings.lama_checkpoint)
    module = LamaNetwork.load(checkpoint.tensors, checkpoint.metadata)
    return LoadedInpainter(Inpainter(_eager(module)), _describe(checkpoint))


def _eager(module):
    module.eval()

    def run(*arrays):
        with torch.inference_mode():
            out = module(*(torch.from_numpy(a) for a in arrays))
        return tuple(o.numpy() for o in (out if isinstance(out, tuple) else (out,)))

    return run


def _checkpoint(settings: Settings, network: NetworkName, configured: Path | None) -> Checkpoint:
    checkpoint = load_checkpoint(
        network,
        configured=configured,
        cache_dir=settings.cache_dir,
        allow_download=settings.checkpoint_download,
    )
    log.info("loaded %s", checkpoint.summary)
    return checkpoint


def _describe(checkpoint: Checkpoint) -> dict[str, str]:
    return {
        "checkpoint": checkpoint.origin.value,
        "name": checkpoint.metadata.get("name", checkpoint.path.name),
        "digest": checkpoint.digest,
        "device": "cpu",
        "backend": "torch",
    }
