"""A network's wide convolutions in 8 bits.

Owns which convolutions of an OpenVINO model, which steps, and what makes good for them. Processors multiply
bytes four times as fast as fp32 (VNNI), and LaMa's convolutions of 3 x 3 are three quarters of its
operations. Whether a network bears it is not decided here; see `deployments/precision.py`.

Weights have 255 steps for each output channel, their largest value the last; inputs 256 steps for the whole
tensor, whose end is chosen for the least squared error on examples. Rounded weights times inputs that are
positive on average shift each output channel; the shift on the examples is subtracted (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any  # OpenVINO's graph has no useful types

import numpy as np
from numpy.typing import NDArray

from engine.silent_openvino import openvino, ops

Node = Any
Arrays = tuple[NDArray[Any], ...]

# With fewer, a convolution takes little time or is not faster in 8 bits.
_FEWEST_CHANNELS = 32
_WEIGHT_STEPS, _INPUT_STEPS = 127, 255
_ENDS = np.linspace(0.2, 1, 17)  # of the largest input, tried for the end of the steps
_SAMPLES = 16_384  # values an example by which ends are chosen


@dataclass(slots=True)
class _Seen:
    """What the examples made of one tensor that convolutions read.

    Attributes:
        least: value.
        samples: some values of each example.
        means: [C], one an example.
    """

    least: float = 0.0
    samples: list[NDArray[np.float32]] = field(default_factory=list)
    means: list[NDArray[np.float64]] = field(default_factory=list)


def quantize(core: Any, model: Any, examples: Sequence[Arrays], exact_share: float = 0.0) -> int:
    """Rewrite `model` in place; say how many convolutions have 8 bits now.

    Args:
        core: `openvino.Core`, to run the examples.
        model: `openvino.Model` in fp32.
        examples: calls of the model with usual inputs.
        exact_share: of the convolutions that could have 8 bits, the last, which stay as they are, 0..1.

    Convolutions over more than one pixel are taken, with 32 channels and more on both sides, whose inputs are
    nowhere negative: as after a ReLU, so that no step is wasted.
    """
    wide = [node for node in model.get_ordered_ops() if _is_wide(node)]
    wide = wide[: len(wide) - round(exact_share * len(wide))]
    reads = {_name(node.output(0)): _read(node) for node in wide}
    tensors = {_name(tensor): tensor for tensor in reads.values()}
    seen = _observe(core, model, tensors, examples)
    rounded = {
        name: _round_inputs(tensors[name], _best_end(np.concatenate(what.samples)))
        for name, what in seen.items()
        if what.least >= 0
    }
    done = 0
    for node in wide:
        tensor = _name(reads[_name(node.output(0))])
        if tensor in rounded:
            _connect(node, rounded[tensor])
            _round_weights(node, np.mean(seen[tensor].means, axis=0))
            done += 1
    model.validate_nodes_and_infer_types()
    return done


def _is_wide(node: Node) -> bool:
    if node.get_type_name() != "Convolution" or node.input_value(1).get_node().get_type_name() != "Constant":
        return False
    outputs, inputs, *kernel = node.input_value(1).get_shape()
    return min(outputs, inputs) >= _FEWEST_CHANNELS and int(np.prod(kernel)) > 1


def _first(node: Node) -> Node:
    """The convolution, or the padding before it: bytes are padded faster."""
    while node.input_value(0).get_node().get_type_name() == "Pad":
        node = node.input_value(0).get_node()
    return node


def _read(node: Node) -> Node:
    """The tensor that a convolution reads, before padding."""
    return _first(node).input_value(0)


def _name(output: Node) -> str:
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _observe(core: Any, model: Any, tensors: dict[str, Node], examples: Sequence[Arrays]) -> dict[str, _Seen]:
    seen = {name: _Seen() for name in tensors}
    if not tensors:
        return seen
    watched = openvino.Model(list(tensors.values()), model.get_parameters(), "watched")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
    request = core.compile_model(watched, "CPU", settings).create_infer_request()
    for example in examples:
        request.infer(list(example))
        for index, what in enumerate(seen.values()):
            values = request.get_output_tensor(index).data
            what.least = min(what.least, float(values.min()))
            what.samples.append(values.ravel()[:: max(1, values.size // _SAMPLES)].copy())
            what.means.append(values.mean(axis=(0, 2, 3), dtype=np.float64))
    return seen


def _best_end(samples: NDArray[np.float32]) -> float:
    """The value of the last step that rounds with the least squared error; larger values are cut to it."""
    largest = max(float(samples.max()), 1e-9)
    errors = []
    for share in _ENDS:
        step = largest * share / _INPUT_STEPS
        errors.append(
            float(np.square(np.minimum(np.rint(samples / step), _INPUT_STEPS) * step - samples).sum())
        )
    return largest * float(_ENDS[int(np.argmin(errors))])


def _round_inputs(tensor: Node, end: float) -> Node:
    low, high = np.float32(0), np.float32(end)
    return ops.fake_quantize(tensor, low, high, low, high, _INPUT_STEPS + 1).output(0)


def _connect(node: Node, rounded: Node) -> None:
    first = _first(node)
    if first.input_value(0).get_node().get_type_name() != "FakeQuantize":  # two share a padding
        first.input(0).replace_source_output(rounded)


def _round_weights(node: Node, means: NDArray[np.float64]) -> None:
    """`means`: [C] of the convolution's inputs."""
    exact = node.input_value(1).get_node().get_data()
    largest = np.abs(exact).max(axis=(1, 2, 3), keepdims=True)
    steps = (np.maximum(largest, 1e-12) / _WEIGHT_STEPS).astype(np.float32)
    whole = np.rint(exact / steps).astype(np.int8)
    weights = ops.multiply(ops.convert(ops.constant(whole), "f32"), ops.constant(steps))
    node.input(1).replace_source_output(weights.output(0))
    shifts = ((exact - whole * steps).sum(axis=(2, 3)) @ means).astype(np.float32)
    takers = list(node.output(0).get_target_inputs())
    shifted = ops.add(node, ops.constant(shifts.reshape(1, -1, 1, 1)))
    for taker in takers:
        taker.replace_source_output(shifted.output(0))
