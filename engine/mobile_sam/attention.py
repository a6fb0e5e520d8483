"""Attention written out, in the order of operations of the reference.

On a CPU, float32 sums in the reference's own order give the reference's own bits, and the released
network's answers are then not merely close (tests/engine/mobile_sam/test_parity.py). On a GPU the
fused kernel is used: its order differs, by about 1e-6 relative.

Sources: Segment Anything (Kirillov et al. 2023, Apache-2.0), TinyViT (Wu et al. 2022, MIT).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def is_traced() -> bool:
    """Whether the network is being exported, to OpenVINO, whose order of operations is its own anyway."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Mix values by the likeness of queries and keys.

    Args:
        query: float [B, heads, Q, D].
        key: float [B, heads, K, D].
        value: float [B, heads, K, D].
        allowed: bool [B, 1, 1, K]; keys where it is false are not seen. None: all are.

    Returns:
        float [B, heads, Q, D].
    """
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    likeness = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if allowed is not None:
        likeness = likeness.masked_fill(~allowed, -math.inf)
    return torch.softmax(likeness, dim=-1) @ value


def attend_with_bias(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """As `attend`, with a learned bias on each pair: float [heads, Q, K], added after scaling."""
    bias = bias[None].to(query.dtype)
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    likeness = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5 + bias
    return torch.softmax(likeness, dim=-1) @ value
