"""From settings to loaded networks, ready to be called.

Owns the way that every network takes at a replica's start: checkpoint, module, runtime, warm-up.
Fails loudly: a replica that cannot load its network never becomes ready.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from deployments.precision import load_in_best_precision
from engine.checkpoints import Checkpoint, NetworkName, load_checkpoint
from engine.errors import CheckpointError
from engine.lama.fill import Inpainter
from engine.lama.network import LamaNetwork
from engine.memory import return_freed_memory
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder
from engine.precision_guard import (
    LEAST_MASK_IOU,
    MOST_FILL_DIFFERENCE,
    fill_difference,
    mask_iou,
    probe_picture,
    probe_task,
)
from engine.runtime import Runtime, RuntimeOptions, build_runtime
from engine.runtime_torch import TorchRuntime
from engine.types import FillTask, ImageEmbedding, ObjectPrompt, PixelBox, Precision, RgbImage
from settings import Settings

log = logging.getLogger("ray.serve")

Loaded = TypeVar("Loaded")


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
    closer_look: float  # see `MobileSamConfig`


@dataclass(frozen=True, slots=True)
class LoadedInpainter:
    """LaMa's generator."""

    inpainter: Inpainter
    description: dict[str, str]


def _giving_memory_back(load: Callable[[Settings], Loaded]) -> Callable[[Settings], Loaded]:
    """Module and checkpoint are gone when `load` has returned; only then is there memory to give back."""

    @wraps(load)
    def loaded(settings: Settings) -> Loaded:
        network = load(settings)
        return_freed_memory()
        return network

    return loaded


@_giving_memory_back
def load_encoder(settings: Settings) -> LoadedEncoder:
    """MobileSAM's image encoder, ready to be called.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
        ExecutionError: the device that the settings name is not to be had here.
    """
    checkpoint = _checkpoint(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    with _named(checkpoint):
        module = MobileSamEncoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    config = MobileSamConfig.from_tensors(checkpoint.tensors, checkpoint.metadata)
    side = config.image_size

    def build(precision: Precision) -> tuple[PictureEncoder, Runtime]:
        options = _options(settings, checkpoint, "mobile_sam_encoder", precision)
        run = build_runtime(module, (torch.zeros(2, 3, side, side),), ((0,),), options)
        return PictureEncoder(run, side), run

    def loss(exact: PictureEncoder, fast: PictureEncoder) -> float:
        decoder = MobileSamDecoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
        network = TorchRuntime(decoder.eval(), "cpu", precision=Precision.FP32, threads=0)
        prompts = PromptDecoder(network, side, single_first=config.single_first)
        return 1 - mask_iou(exact, fast, prompts, side)

    encoder, run = load_in_best_precision(
        settings,
        f"MobileSAM encoder {checkpoint.digest}",
        build,
        loss,
        1 - LEAST_MASK_IOU,
        lambda network: network.encode([probe_picture()]),
    )
    encoder.encode([RgbImage(np.zeros((8, 8, 3), np.uint8))])  # the first call allocates
    return LoadedEncoder(encoder, checkpoint.digest, _describe(checkpoint, run))


@_giving_memory_back
def load_decoder(settings: Settings) -> LoadedDecoder:
    """MobileSAM's prompt and mask decoder, ready to be called.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
        ExecutionError: the device that the settings name is not to be had here.
    """
    checkpoint = _checkpoint(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    with _named(checkpoint):
        config = MobileSamConfig.from_tensors(checkpoint.tensors, checkpoint.metadata)
        module = MobileSamDecoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    channels, grid = config.decoder.dim, config.grid
    example = (torch.zeros(2, channels, grid, grid), torch.ones(2, 3, 2), torch.ones(2, 3, dtype=torch.int64))
    # In bf16 it would save 30 ms of a job and lose half a percent of each mask's overlap.
    options = _options(settings, checkpoint, "mobile_sam_decoder", Precision.FP32)
    run = build_runtime(module, example, ((0,), (0, 1), (0, 1)), options)
    decoder = PromptDecoder(run, config.image_size, single_first=config.single_first)
    blank = ImageEmbedding(np.zeros((channels, grid, grid), np.float32), 8, 8)
    decoder.decode([(blank, [ObjectPrompt(points=((1.0, 1.0),), labels=(1,))])])
    return LoadedDecoder(decoder, config.image_size, _describe(checkpoint, run), config.closer_look)


@_giving_memory_back
def load_inpainter(settings: Settings) -> LoadedInpainter:
    """LaMa's generator, ready to be called.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
        ExecutionError: the device that the settings name is not to be had here.
    """
    checkpoint = _checkpoint(settings, NetworkName.LAMA, settings.lama_checkpoint)
    with _named(checkpoint):
        module = LamaNetwork.load(checkpoint.tensors, checkpoint.metadata)
    hole = torch.zeros(2, 1, 64, 64)
    hole[..., 20:40, 24:44] = 1
    example = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), hole)

    def build(precision: Precision) -> tuple[Inpainter, Runtime]:
        options = _options(settings, checkpoint, "lama", precision)
        run = build_runtime(module, example, ((0, 2, 3), (0, 2, 3)), options)
        return Inpainter(run), run

    inpainter, run = load_in_best_precision(
        settings,
        f"LaMa {checkpoint.digest}",
        build,
        lambda exact, fast: fill_difference(exact, fast, 256),
        MOST_FILL_DIFFERENCE,
        lambda network: network.fill([probe_task(256)]),
    )
    # A size's first run costs a GPU seconds and a CPU a tenth of one, once memory is there for the largest.
    for size in settings.inpaint_sizes if run.device != "cpu" else settings.inpaint_sizes[-1:]:
        opened = np.zeros((size, size), np.bool_)
        opened[size // 2, size // 2] = True
        pixels = np.zeros((size, size, 3), np.uint8)
        inpainter.fill([FillTask(PixelBox(0, 0, size, size), 1.0, pixels, opened)])
    return LoadedInpainter(inpainter, _describe(checkpoint, run))


def _checkpoint(settings: Settings, network: NetworkName, configured: Path | None) -> Checkpoint:
    checkpoint = load_checkpoint(
        network,
        configured=configured,
        cache_dir=settings.cache_dir,
        allow_download=settings.checkpoint_download,
    )
    log.info("loaded %s", checkpoint.summary)
    return checkpoint


@contextmanager
def _named(checkpoint: Checkpoint) -> Iterator[None]:
    """Say which file the networks' loaders complain about."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _options(settings: Settings, checkpoint: Checkpoint, name: str, precision: Precision) -> RuntimeOptions:
    return RuntimeOptions(
        name=name,
        weights_digest=checkpoint.digest,
        cache_dir=settings.cache_dir,
        device=settings.device,
        precision=precision,
        threads=settings.threads,
    )


def _describe(checkpoint: Checkpoint, run: Runtime) -> dict[str, str]:
    return {
        "checkpoint": checkpoint.origin.value,
        "name": checkpoint.metadata.get("name", checkpoint.path.name),
        "digest": checkpoint.digest,
        "device": run.device,
        "backend": run.backend,
        "precision": run.precision.value,
    }
