"""Attention between tokens and cells, as it is written and in the order in which it is exported."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from engine.mobile_sam.mask_decoder import Attention, CellsOnTokens, TokensOnCells

DIM, INNER, HEADS, TOKENS, CELLS = 48, 32, 4, 7, 90


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens, cells, values of cells, and which tokens are seen: in the second row not the last two."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, TOKENS, DIM, generator=generator).double()
    cells, values = torch.randn(2, 2, CELLS, DIM, generator=generator).double()
    seen = torch.ones(2, 1, 1, TOKENS, dtype=torch.bool)
    seen[1, ..., -2:] = False
    return tokens, cells, values, seen


Kind = TypeVar("Kind", bound=Attention)


def made(kind: type[Kind]) -> Kind:
    torch.manual_seed(1)
    attention = kind(DIM, INNER, HEADS).double()
    for bias in (one.bias for one in attention.children() if isinstance(one, nn.Linear)):
        nn.init.normal_(bias)
    attention.requires_grad_(False)
    return attention


def assert_same(answer: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(answer, wanted, rtol=1e-12, atol=1e-12)


def test_tokens_find_the_same_in_cells_that_are_not_projected(
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    tokens, cells, values, _ = inputs
    attention = made(TokensOnCells)
    assert_same(attention.reordered(tokens, cells, values), attention(tokens, cells, values))


def test_cells_find_the_same_in_tokens_and_see_no_filler(
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    tokens, cells, values, seen = inputs
    attention = made(CellsOnTokens)
    given = values[:, :TOKENS]
    found = attention.reordered(cells, tokens, given, seen)
    assert_same(found, attention(cells, tokens, given, seen))
    changed = tokens.clone()
    changed[1, -2:] += 1e3
    torch.testing.assert_close(attention.reordered(cells, changed, given, seen), found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_what_is_traced_projects_no_cells(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    tokens, cells, values, seen = inputs
    for attention, arguments in (
        (made(TokensOnCells), (tokens, cells, values)),
        (made(CellsOnTokens), (cells, tokens, tokens, seen)),
    ):
        traced = torch.jit.trace(attention, arguments, check_trace=False)
        kinds = [
            node.output().type().sizes() for node in traced.inlined_graph.nodes() if "linear" in node.kind()
        ]
        assert [sizes for sizes in kinds if sizes and CELLS in sizes] == []
        torch.testing.assert_close(traced(*arguments), attention(*arguments))
