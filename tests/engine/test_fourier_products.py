from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.fourier_products import replace_transforms
from tests.engine.sources import compiled_exactly, model_of_pictures


class ThereAndBack(nn.Module):
    """A filter in the frequency domain."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        parts = torch.view_as_real(torch.fft.rfftn(x, dim=(-2, -1), norm="ortho"))
        parts = torch.relu(parts)
        mixed = torch.view_as_complex(parts.contiguous())
        return torch.fft.irfftn(mixed, s=(height, width), dim=(-2, -1), norm="ortho")


class NotUnitary(nn.Module):
    """The same without the roots: there by nothing, back by H * W."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(torch.relu(torch.view_as_real(torch.fft.rfftn(x, dim=(-2, -1)))))
        return torch.fft.irfftn(spectrum, s=x.shape[-2:], dim=(-2, -1))


class OneAxis(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft(x, dim=-1))


def convert(module: nn.Module) -> Any:
    return model_of_pictures(module, torch.randn(2, 3, 6, 8))


def run(model: Any, x: Tensor) -> np.ndarray:
    return np.array(compiled_exactly(model)([x.numpy()])[0])


@pytest.fixture(scope="module")
def rewritten() -> Any:
    model = convert(ThereAndBack())
    assert replace_transforms(model) == 2
    assert not any("DFT" in node.get_type_name() for node in model.get_ops())
    return compiled_exactly(model)


@pytest.mark.parametrize(
    "shape", [(2, 3, 6, 8), (1, 3, 8, 6), (3, 3, 5, 7), (1, 3, 7, 64), (1, 3, 65, 2), (1, 3, 1, 1)]
)
def test_products_answer_as_the_transforms_at_any_size(rewritten: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    np.testing.assert_allclose(rewritten([x.numpy()])[0], ThereAndBack()(x).numpy(), atol=3e-6)


def test_roots_of_unitary_transforms_are_in_the_tables() -> None:
    model = convert(ThereAndBack())
    replace_transforms(model)
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert "ReduceProd" not in kinds  # of which torch takes the root
    assert kinds.count("Sqrt") == 1


def test_transforms_without_roots_answer_as_they_did() -> None:
    model = convert(NotUnitary())
    assert replace_transforms(model) == 2
    x = torch.randn(2, 3, 6, 10)
    np.testing.assert_allclose(run(model, x), NotUnitary()(x).numpy(), atol=3e-6)


def test_a_transform_over_other_axes_is_left_as_it_is() -> None:
    model = convert(OneAxis())
    assert replace_transforms(model) == 0
    x = torch.randn(1, 3, 4, 10)
    np.testing.assert_allclose(run(model, x), OneAxis()(x).numpy(), atol=1e-5)


class TwoSizes(nn.Module):
    """Transforms pictures of two sizes, against the rewriting's assumption."""

    def forward(self, x: Tensor) -> Tensor:
        small = torch.view_as_real(torch.fft.rfftn(x[..., ::2, ::2], dim=(-2, -1)))
        large = torch.view_as_real(torch.fft.rfftn(x, dim=(-2, -1)))
        return small.sum() + large


def test_a_model_of_two_sizes_fails_rather_than_answering_wrongly() -> None:
    model = convert(TwoSizes())
    x = torch.randn(1, 3, 8, 12)
    np.testing.assert_allclose(run(model, x), TwoSizes()(x).numpy(), atol=1e-4)
    with pytest.raises(RuntimeError):
        replace_transforms(model)
        run(model, x)
