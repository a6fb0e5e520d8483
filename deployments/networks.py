"""From settings to loaded networks, ready to be called.

Owns the way that every network takes at a replica's start: checkpoint, network, runtime, warm-up. Where the
network is found converted, that way imports no torch, and the checkpoint's file is only looked at.
Fails loudly: a replica that cannot load its network never becomes ready.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

import engine
from deployments.precision import load_in_best_precision
from engine.checkpoints import Checkpoint, CheckpointFile, NetworkName, find_checkpoint
from engine.errors import CheckpointError
from engine.kept_facts import known
from engine.lama.calibration import calibration_examples
from engine.lama.fill import Inpainter
from engine.lama.interface import LamaInterface
from engine.memory import return_freed_memory
from engine.mobile_sam.interface import MobileSamInterface
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder
from engine.network_source import NetworkSource, digest_of_code
from engine.precision_guard import (
    LEAST_MASK_IOU,
    MOST_FILL_DIFFERENCE,
    fill_difference,
    mask_iou,
    probe_picture,
    probe_task,
)
from engine.runtime import Runtime, RuntimeOptions, build_runtime
from engine.types import FillTask, ImageEmbedding, ObjectPrompt, PixelBox, Precision, RgbImage
from settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

_ENGINE = Path(engine.__file__).parent
_MOBILE_SAM, _LAMA = _ENGINE / "mobile_sam", _ENGINE / "lama"  # what the networks are made of

# Objects in one run of the decoder. A CPU takes as long for eight times two as for sixteen, and keeps 120 MiB
# instead of 1.1 GiB; each new number of rows costs it as much again, once.
_ROWS_ON_A_CPU, _ROWS_ON_A_GPU = 2, 16

log = logging.getLogger("ray.serve")

Loaded = TypeVar("Loaded")
Made = TypeVar("Made")


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
    file, read = _find(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    facts = _mobile_sam_interface(settings, file, read)
    side = facts.image_size

    def module() -> nn.Module:
        from engine.mobile_sam.network import MobileSamEncoder

        return _made(read(), MobileSamEncoder.from_tensors)

    example = (np.zeros((2, 3, side, side), np.float32),)
    source = NetworkSource("mobile_sam_encoder", file.digest, module, _MOBILE_SAM, example, ((0,),))

    def build(precision: Precision) -> tuple[PictureEncoder, Runtime]:
        run = build_runtime(source, _options(settings, precision))
        return PictureEncoder(run, side), run

    def loss(exact: PictureEncoder, fast: PictureEncoder) -> float:
        run = build_runtime(_decoder_source(file, read, facts), _options(settings, Precision.FP32))
        decoder = PromptDecoder(run, side, single_first=facts.single_first)
        return 1 - mask_iou(exact, fast, decoder, side)

    encoder, run = load_in_best_precision(
        settings,
        f"MobileSAM encoder {file.digest}",
        (Precision.BF16,),
        build,
        loss,
        1 - LEAST_MASK_IOU,
        lambda network: network.encode([probe_picture()]),
    )
    encoder.encode([RgbImage(np.zeros((8, 8, 3), np.uint8))])  # the first call allocates
    return LoadedEncoder(encoder, file.digest, _describe(file, facts.name, run))


@_giving_memory_back
def load_decoder(settings: Settings) -> LoadedDecoder:
    """MobileSAM's prompt and mask decoder, ready to be called.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
        ExecutionError: the device that the settings name is not to be had here.
    """
    file, read = _find(settings, NetworkName.MOBILE_SAM, settings.mobile_sam_checkpoint)
    facts = _mobile_sam_interface(settings, file, read)
    # In bf16 it would save 30 ms of a job and lose half a percent of each mask's overlap.
    run = build_runtime(_decoder_source(file, read, facts), _options(settings, Precision.FP32))
    rows = _ROWS_ON_A_CPU if run.device == "cpu" else _ROWS_ON_A_GPU
    decoder = PromptDecoder(run, facts.image_size, rows, single_first=facts.single_first)
    blank = ImageEmbedding(np.zeros((facts.channels, facts.grid, facts.grid), np.float32), 8, 8)
    decoder.decode([(blank, [ObjectPrompt(points=((1.0, 1.0),), labels=(1,))])])
    return LoadedDecoder(decoder, facts.image_size, _describe(file, facts.name, run), facts.closer_look)


@_giving_memory_back
def load_inpainter(settings: Settings) -> LoadedInpainter:
    """LaMa's generator, ready to be called.

    Raises:
        CheckpointError: the checkpoint cannot be used; the message says how to mend it.
        ExecutionError: the device that the settings name is not to be had here.
    """
    file, read = _find(settings, NetworkName.LAMA, settings.lama_checkpoint)

    def module() -> nn.Module:
        from engine.lama.network import LamaNetwork

        return _made(read(), LamaNetwork.load)

    hole = np.zeros((2, 1, 64, 64), np.float32)
    hole[..., 20:40, 24:44] = 1
    example = (np.random.default_rng(0).random((2, 3, 64, 64), np.float32), hole)
    axes = ((0, 2, 3), (0, 2, 3))
    source = NetworkSource("lama", file.digest, module, _LAMA, example, axes, calibration_examples)

    def build(precision: Precision) -> tuple[Inpainter, Runtime]:
        run = build_runtime(source, _options(settings, precision))
        return Inpainter(run), run

    inpainter, run = load_in_best_precision(
        settings,
        f"LaMa {file.digest}",
        (Precision.BF16, Precision.INT8, Precision.INT8_BF16),
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
    name = known(
        LamaInterface,
        _facts_file(settings, file, _LAMA),
        lambda: LamaInterface(read().metadata.get("name", "")),
    ).name
    return LoadedInpainter(inpainter, _describe(file, name, run))


def _find(
    settings: Settings, network: NetworkName, configured: Path | None
) -> tuple[CheckpointFile, Callable[[], Checkpoint]]:
    """The file of the network's weights, and what reads it, once for whoever asks."""
    file = find_checkpoint(
        network,
        configured=configured,
        cache_dir=settings.cache_dir,
        allow_download=settings.checkpoint_download,
    )
    log.info("found %s", file.summary)
    return file, cache(file.read)


def _mobile_sam_interface(
    settings: Settings, file: CheckpointFile, read: Callable[[], Checkpoint]
) -> MobileSamInterface:
    def find() -> MobileSamInterface:
        from engine.mobile_sam.config import MobileSamConfig

        config = _made(read(), MobileSamConfig.from_tensors)
        return MobileSamInterface(
            name=read().metadata.get("name", ""),
            image_size=config.image_size,
            channels=config.decoder.dim,
            grid=config.grid,
            single_first=config.single_first,
            closer_look=config.closer_look,
        )

    return known(MobileSamInterface, _facts_file(settings, file, _MOBILE_SAM), find)


def _facts_file(settings: Settings, file: CheckpointFile, code: Path) -> Path:
    """Where what is known of a checkpoint is kept: until its file changes, or the code that reads it."""
    return settings.cache_dir / "interfaces" / f"{file.digest[:32]}-{digest_of_code(code)[:16]}.json"


def _decoder_source(
    file: CheckpointFile, read: Callable[[], Checkpoint], facts: MobileSamInterface
) -> NetworkSource:
    def module() -> nn.Module:
        from engine.mobile_sam.network import MobileSamDecoder

        return _made(read(), MobileSamDecoder.from_tensors)

    example = (
        np.zeros((2, facts.channels, facts.grid, facts.grid), np.float32),
        np.ones((2, 3, 2), np.float32),
        np.ones((2, 3), np.int64),
    )
    axes = ((0,), (0, 1), (0, 1))
    return NetworkSource("mobile_sam_decoder", file.digest, module, _MOBILE_SAM, example, axes)


def _made(checkpoint: Checkpoint, make: Callable[[Mapping[str, Tensor], Mapping[str, str]], Made]) -> Made:
    """What `make` makes of a checkpoint; its complaints say which file they are about."""
    try:
        return make(checkpoint.tensors, checkpoint.metadata)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _options(settings: Settings, precision: Precision) -> RuntimeOptions:
    return RuntimeOptions(
        cache_dir=settings.cache_dir,
        device=settings.device,
        precision=precision,
        threads=settings.threads,
    )


def _describe(file: CheckpointFile, name: str, run: Runtime) -> dict[str, str]:
    return {
        "checkpoint": file.origin.value,
        "name": name or file.path.name,
        "digest": file.digest,
        "device": run.device,
        "backend": run.backend,
        "precision": run.precision.value,
    }
