"""How much of a card one process may take, where several share it.

Owns the arithmetic and the telling of torch. What the share is, is for the caller to know.
"""

from __future__ import annotations

import torch

from engine.errors import ExecutionError

# What CUDA itself takes for a process, beside what torch allocates. An assumption: no card was at hand.
CONTEXT_BYTES = 600 << 20


def memory_fraction(share: float, total_bytes: int, context_bytes: int = CONTEXT_BYTES) -> float:
    """The fraction of a card that torch may allocate so that, with its context, the process keeps to `share`.

    `share` is 0..1 of a card of `total_bytes`.

    Raises:
        ExecutionError: the share has no room beside the context.
    """
    room = share * total_bytes - context_bytes
    if room <= 0:
        raise ExecutionError(
            f"a share of {share:g} of this GPU is {share * total_bytes / 1e9:.1f} GB, and CUDA alone needs "
            f"{context_bytes / 1e9:.1f}: raise ENCODER_GPU, DECODER_GPU or INPAINTER_GPU, whichever it is"
        )
    return room / total_bytes


def hold_memory_to(share: float) -> None:
    """Have torch refuse what goes beyond `share` (0..1) of the first card that this process sees.

    Raises:
        ExecutionError: the share has no room beside the context.
    """
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total), 0)
