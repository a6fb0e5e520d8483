"""The precision that a replica's network is executed in.

Owns the choice that `PRECISION=auto` makes at a replica's start: bf16 or 8 bits where the processor has them
and is faster with them, and the checkpoint bears it, else fp32. What was found is kept in the cache folder
for the next start.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import engine
from engine.kept_facts import keep_facts, read_facts
from engine.network_source import CONVERTING, QUANTIZING, digest_of_code
from engine.precision_guard import known_to_processor
from engine.runtime import Runtime, runs_on_gpu
from engine.types import Precision
from settings import Settings

log = logging.getLogger("ray.serve")

WORTH = 0.95  # of the time in fp32; a gain below that is not worth any loss
_TIMED = 2  # runs of each, in turns

# What a verdict depends on beside the checkpoint: how networks are made, and how they are tried.
_ENGINE = Path(engine.__file__).parent
_CODE = (
    *CONVERTING,
    *QUANTIZING,
    *(_ENGINE / name for name in ("precision_guard.py", "lama", "mobile_sam")),
)

Network = TypeVar("Network")


def load_in_best_precision(
    settings: Settings,
    network: str,
    offers: tuple[Precision, ...],
    build: Callable[[Precision], tuple[Network, Runtime]],
    loss: Callable[[Network, Network], float],
    most_loss: float,
    work: Callable[[Network], object],
) -> tuple[Network, Runtime]:
    """The network as `settings.precision` wants it, in fp32 where that is not offered.

    Args:
        settings: of the service.
        network: its name and its checkpoint's digest.
        offers: what it can be built in beside fp32.
        build: makes it in one precision, with its runtime.
        loss: how far the second (fast) is from the first (fp32).
        most_loss: above it a precision is not taken.
        work: one run of a network, to be timed: there are processors that have bf16 and are slower with it.
    """
    if settings.precision is not Precision.AUTO:
        wanted = settings.precision if settings.precision in offers else settings.precision.elsewhere
        return build(wanted if wanted in offers else Precision.FP32)
    if runs_on_gpu(settings.device):
        return build(Precision.FP32)  # bf16 has not been tried on one
    processor, has = known_to_processor()
    candidates = [one for one in offers if one in has]
    if not candidates:
        return build(Precision.FP32)
    # A folder may serve many machines and outlive our code: a verdict is of one processor and one release.
    about = f"{network} {processor} {' '.join(candidates)} {digest_of_code(*_CODE)}"
    verdict = settings.cache_dir / "precision" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.json"
    known = _known(verdict)
    if known is not None:
        found = build(known)
        # What was tried is OpenVINO's; torch, which stands in where OpenVINO fails, has its own.
        return found if found[1].backend == "openvino" else build(Precision.FP32)
    exact = build(Precision.FP32)
    if exact[1].backend != "openvino":
        return exact
    chosen, best, tried = exact, WORTH, {}
    for precision in candidates:
        fast = build(precision)
        lost, share = loss(exact[0], fast[0]), _share_of_time(exact[0], fast[0], work)
        tried[precision.value] = {"loss": lost, "share of time": share}
        log.info(
            "%s: %s loses %.4f (at most %.4f may be lost) and takes %.2f times the processor time of fp32",
            *(network, precision.value, lost, most_loss, share),
        )
        if lost <= most_loss and share <= best:
            chosen, best = fast, share
    taken = chosen[1].precision
    log.info("%s: %s is taken", network, taken.value)
    keep_facts(
        verdict,
        {"precision": taken.value, "network": network, "processor": processor, "tried": tried},
    )
    return chosen


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
        known = None if kept is None else Precision(kept["precision"])
    except (ValueError, KeyError, TypeError):
        return None
    return None if known is Precision.AUTO else known
