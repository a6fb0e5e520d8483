"""Fourier transforms inside an OpenVINO network, as matrix products.

OpenVINO executes RDFT and IRDFT on a CPU by a plain reference kernel. LaMa transforms 192 channels
of 64 x 64 seventy times for one picture of 512 x 512; written as matrix products the transforms
take less than half the time, and the whole network 6 % less in fp32 and 20 % less in bf16 (measured
November 2026, OpenVINO 2026.4, AVX-512). Owns that rewriting of a converted model, nothing else.
"""

from __future__ import annotations

import math
from typing import Any  # OpenVINO's graph has no useful types

import numpy as np

from engine.silent_openvino import ops

Node = Any


def replace_transforms(model: Any) -> int:
    """Rewrite the 2-D RDFTs and IRDFTs over the last two axes of rank 4 tensors; say how many.

    All transforms of a model are taken to be of one size, that of the first, without cropping or
    padding: they then share their tables. A model for which this is not so fails when it is run, as
    its products do not fit; it never answers wrongly. Models that start with an inverse transform
    are left alone. Where both directions are made unitary (norm "ortho" in torch), the tables are, and
    the divisions by the root of H x W are dropped: they took as long as the products, and
    stood between transposes that cancel each other.
    """
    transforms = [node for node in model.get_ordered_ops() if _is_over_last_two_axes(node)]
    if not transforms or transforms[0].get_type_name() != "RDFT":
        return 0
    scalings = [_scaling_by_root(node) for node in transforms]
    unitary = all(scalings)
    products = _Products(transforms[0].input_value(0), unitary=unitary)
    ends: list[Node] = scalings if unitary else transforms
    for node, end in zip(transforms, ends, strict=True):
        turn = products.forward if node.get_type_name() == "RDFT" else products.inverse
        result = turn(node.input_value(0))
        result.set_friendly_name(node.get_friendly_name())
        end.output(0).replace(result.output(0))
    model.validate_nodes_and_infer_types()
    return len(transforms)


def _is_over_last_two_axes(node: Node) -> bool:
    kind = node.get_type_name()
    if kind not in ("RDFT", "IRDFT"):
        return False
    rank = node.input_value(0).get_partial_shape().rank
    axes = node.input_value(1).get_node()
    if rank.is_dynamic or axes.get_type_name() != "Constant":
        return False
    spatial = rank.get_length() - (1 if kind == "IRDFT" else 0)
    return spatial == 4 and [axis % spatial for axis in axes.get_data().tolist()] == [2, 3]


def _scaling_by_root(transform: Node) -> Node | None:
    """The one node that takes a transform's answer, if it makes it unitary: RDFT / root, IRDFT * root.

    That the root is of the number of pixels follows from its being one of a product of lengths.
    """
    takers = list(transform.output(0).get_target_inputs())
    if len(takers) != 1:
        return None
    scaling = takers[0].get_node()
    if scaling.get_type_name() != ("Divide" if transform.get_type_name() == "RDFT" else "Multiply"):
        return None
    root = scaling.input_value(1 - takers[0].get_index()).get_node()
    if root.get_type_name() != "Sqrt":
        return None
    number = root.input_value(0).get_node()
    while number.get_type_name() == "Convert":
        number = number.input_value(0).get_node()
    return scaling if number.get_type_name() == "ReduceProd" else None


class _Products:
    """The tables of one size H x W of pictures and H x F of spectra, F = W / 2 + 1.

    `unitary`: both directions divide by the root of H * W. Else the inverse divides by H * W, as IRDFT does,
    and RDFT by nothing.
    """

    def __init__(self, picture: Node, *, unitary: bool) -> None:
        shape = ops.shape_of(picture, "i64")
        height, width = (ops.gather(shape, _whole(axis), _whole(0)) for axis in (2, 3))
        frequencies = ops.add(ops.divide(width, _whole(2)), _whole(1))
        cosine, sine = _waves(height, height, height)
        self._down = _stack(cosine, sine, ops.negative(sine), cosine)
        self._up = _stack(cosine, ops.negative(sine), sine, cosine)
        cosine, sine = _waves(width, frequencies, width)
        pixels = ops.convert(ops.multiply(height, width), "f32")
        if unitary:
            pixels = ops.sqrt(pixels)
            self._right = ops.divide(cosine, pixels), ops.negative(ops.divide(sine, pixels))
        else:
            self._right = cosine, ops.negative(sine)
        # Every frequency but the first and, for even widths, the last stands for its mirror image too.
        index = ops.range(_whole(0), frequencies, _whole(1), "i64")
        alone = ops.logical_or(ops.equal(index, _whole(0)), ops.equal(ops.multiply(index, _whole(2)), width))
        share = ops.select(alone, np.float32(1), np.float32(2))
        share = ops.divide(share, pixels)
        self._left = tuple(
            ops.transpose(ops.multiply(table, share), [1, 0]) for table in (cosine, ops.negative(sine))
        )
        one = _whole(1)
        height, frequencies = ops.unsqueeze(height, _whole(0)), ops.unsqueeze(frequencies, _whole(0))
        same = np.zeros(2, np.int64)  # as before, in a reshape
        self._paired = ops.concat([same, ops.unsqueeze(_whole(2), _whole(0)), height, frequencies], 0)
        self._stacked = ops.concat([same, ops.multiply(height, ops.add(one, one)), frequencies], 0)

    def forward(self, picture: Node) -> Node:
        """[B, C, H, W] -> [B, C, H, F, 2]."""
        real, imaginary = (_product(picture, table) for table in self._right)
        parts = _product(self._down, ops.concat([real, imaginary], -2))  # [B, C, 2H, F]
        return ops.transpose(ops.reshape(parts, self._paired, True), [0, 1, 3, 4, 2])

    def inverse(self, spectrum: Node) -> Node:
        """[B, C, H, F, 2] -> [B, C, H, W]."""
        parts = ops.reshape(ops.transpose(spectrum, [0, 1, 4, 2, 3]), self._stacked, True)
        turned = ops.split(_product(self._up, parts), _whole(-2), 2).outputs()
        real, imaginary = (_product(part, table) for part, table in zip(turned, self._left, strict=True))
        return ops.add(real, imaginary)


def _waves(rows: Node, columns: Node, period: Node) -> tuple[Node, Node]:
    """Cosine and sine [rows, columns] of 2 pi row * column / period."""
    row = ops.unsqueeze(ops.range(_whole(0), rows, _whole(1), "i64"), _whole(1))
    column = ops.unsqueeze(ops.range(_whole(0), columns, _whole(1), "i64"), _whole(0))
    # The remainder first, in whole numbers: fp32 sines of large angles are not exact.
    turns = ops.convert(ops.floor_mod(ops.multiply(row, column), period), "f32")
    angle = ops.divide(ops.multiply(turns, np.float32(2 * math.pi)), ops.convert(period, "f32"))
    return ops.cos(angle), ops.sin(angle)


def _stack(top_left: Node, top_right: Node, bottom_left: Node, bottom_right: Node) -> Node:
    return ops.concat([ops.concat([top_left, top_right], 1), ops.concat([bottom_left, bottom_right], 1)], 0)


def _product(left: Node, right: Node) -> Node:
    return ops.matmul(left, right, False, False)


def _whole(value: int) -> Node:
    return ops.constant(np.int64(value))
