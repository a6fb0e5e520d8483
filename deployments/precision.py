"""The precision that a replica's network is executed in.

Owns the choice that `PRECISION=auto` makes at a replica's start: bf16 where the processor has it and is
faster with it, and the checkpoint bears it, else fp32. What was found is kept in the cache folder for the
next start.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.kept_facts import keep_facts, read_facts
from engine.precision_guard import processor_name
from engine.runtime import Runtime, runs_on_gpu
from engine.types import Precision
from settings import Settings

log = logging.getLogger("ray.serve")

WORTH = 0.95  # of the time in fp32; a gain below that is not worth any loss
_TIMED = 2  # runs of each, in turns

Network = TypeVar("Network")


def load_in_best_precision(
    settings: Settings,
    network: str,
    build: Callable[[Precision], tuple[Network, Runtime]],
    loss: Callable[[Network, Network], float],
    most_loss: float,
    work: Callable[[Network], object],
) -> tuple[Network, Runtime]:
    """The network as `settings.precision` wants it.

    Args:
        settings: of the service.
        network: its name and its checkpoint's digest.
        build: makes it in one precision, with its runtime.
        loss: how far the second (bf16) is from the first (fp32).
        most_loss: above it the network stays in fp32.
        work: one run of a network, to be timed: there are processors that have bf16 and are slower with it.
    """
    if settings.precision is not Precision.AUTO:
        return build(settings.precision)
    if runs_on_gpu(settings.device):
        return build(Precision.FP32)  # bf16 has not been tried on one
    processor = processor_name()
    if processor is None:
        return build(Precision.FP32)
    # A folder may serve many machines: a verdict is of one processor and one release.
    key = hashlib.sha256(f"{network} {processor}".encode()).hexdigest()[:32]
    verdict = settings.cache_dir / "precision" / f"{key}.json"
    known = _known(verdict)
    if known is not None:
        found = build(known)
        # What was tried is OpenVINO's bf16; torch, which stands in where OpenVINO fails, has its own.
        return found if found[1].backend == "openvino" else build(Precision.FP32)
    exact = build(Precision.FP32)
    if exact[1].backend != "openvino":
        return exact
    fast = build(Precision.BF16)
    lost, share = loss(exact[0], fast[0]), _share_of_time(exact[0], fast[0], work)
    chosen = Precision.BF16 if lost <= most_loss and share <= WORTH else Precision.FP32
    log.info(
        "%s: bf16 loses %.4f (at most %.4f may be lost) and takes %.2f times the processor time: %s",
        *(network, lost, most_loss, share, chosen.value),
    )
    keep_facts(
        verdict,
        {
            "precision": chosen.value,
            "network": network,
            "processor": processor,
            "loss": lost,
            "share of time": share,
        },
    )
    return fast if chosen is Precision.BF16 else exact


def _share_of_time(exact: Network, fast: Network, work: Callable[[Network], object]) -> float:
    """Processor time of the second's work over the first's: other replicas may start on the same cores."""
    spent: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_TIMED):
        for which, network in enumerate((exact, fast)):
            began = time.process_time()
            work(network)
            spent[which].append(time.process_time() - began)
    return min(spent[1]) / max(min(spent[0]), 1e-9)


def _known(path: Path) -> Precision | None:
    kept = read_facts(path)
    try:
        if kept is None:
            return None
        float(kept["share of time"])  # older verdicts did not ask
        known = Precision(kept["precision"])
    except (ValueError, KeyError, TypeError):
        return None
    return None if known is Precision.AUTO else known
