"""The arithmetic that training runs in: bf16 where it is the faster one.

Owns the trial. Some processors that multiply bf16 themselves are slower with it than in fp32.
"""

from __future__ import annotations

import functools
import time

import torch

_SIDE, _PRODUCTS = 768, 4


def fast_arithmetic(device_type: str) -> torch.autocast:
    """A context for forward passes on `cpu` or `cuda`."""
    return torch.autocast(device_type, torch.bfloat16, enabled=bf16_pays(device_type))


@functools.cache
def bf16_pays(device_type: str) -> bool:
    """Whether products of matrices are faster in bf16; on a GPU they are."""
    if device_type != "cpu":
        return True
    spent = {}
    for dtype in (torch.float32, torch.bfloat16):
        factor = torch.ones(_SIDE, _SIDE, dtype=dtype)
        factor @ factor  # the first one allocates
        began = time.process_time()
        for _ in range(_PRODUCTS):
            factor @ factor
        spent[dtype] = time.process_time() - began
    return spent[torch.bfloat16] < spent[torch.float32]
