"""Torch modules as OpenVINO models, each converted once on a machine.

Owns tracing, the check that a conversion answers as its module does, and the folder where
conversions are kept for other processes and later starts. How they run is `runtime_openvino.py`.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # openvino.Model and openvino.Core come without types

import numpy as np
import torch

from engine.errors import ExecutionError
from engine.file_lock import only_process
from engine.fourier_products import replace_transforms
from engine.silent_openvino import openvino

log = logging.getLogger(__name__)

_KEEP_UNUSED_S = 7 * 86_400.0
# A wrong conversion is wrong by far, while some networks make 1e-2 of the last bits of fp32.
_LARGEST_DIFFERENCE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What is converted; the fields are those of `engine.runtime.build_runtime`."""

    module: torch.nn.Module
    example_inputs: tuple[torch.Tensor, ...]
    dynamic_axes: tuple[tuple[int, ...], ...]
    name: str
    weights_digest: str


def open_converted(core: Any, source: Source, cache_dir: Path | None) -> Any:
    """The network as an `openvino.Model`: from below `cache_dir`, or converted now and kept there.

    Of several processes one converts and the others wait for it. A folder that cannot be written
    costs the keeping only.

    Raises:
        ExecutionError: OpenVINO cannot express the network, or answers otherwise than torch.
    """
    if cache_dir is None:
        return _convert(core, source)
    folder = cache_dir / "converted" / f"{source.name}-{_key(source)}"
    try:
        try:
            return core.read_model(_keep_converted(core, source, folder))
        except RuntimeError as error:
            log.warning(
                "the converted %s is damaged (%s); converting it again", source.name, last_line(error)
            )
            shutil.rmtree(folder)
            return core.read_model(_keep_converted(core, source, folder))
    except OSError as error:
        log.warning("the converted %s cannot be kept: %s", source.name, error)
        return _convert(core, source)


def last_line(error: Exception) -> str:
    """The end of an error's text, where OpenVINO says what is the matter."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _keep_converted(core: Any, source: Source, folder: Path) -> Path:
    file = folder / "network.xml"
    if not file.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_process(folder.parent / f"{source.name}.lock", f"converting {source.name}"):
            if not file.exists():
                _save(_convert(core, source), folder)
                _forget_unused(folder, source.name)
    with suppress(OSError):
        os.utime(folder)
    return file


def _convert(core: Any, source: Source) -> Any:
    started = time.monotonic()
    shapes = [
        openvino.PartialShape([-1 if axis in axes else length for axis, length in enumerate(tensor.shape)])
        for tensor, axes in zip(source.example_inputs, source.dynamic_axes, strict=True)
    ]
    try:
        with warnings.catch_warnings(), _root_logger_kept(), torch.no_grad():
            # Tracing is deprecated in favour of torch.export, which takes 3 to 9 times as long for our
            # networks and leaves Fourier transforms unconverted (torch 2.13, OpenVINO 2026.4).
            warnings.simplefilter("ignore")
            traced, expected = _trace(source)
            model = openvino.convert_model(traced, example_input=source.example_inputs, input=shapes)
        replace_transforms(model)
        difference = _difference(core, model, source.example_inputs, expected)
    except Exception as error:  # of whatever kind: foreign code looked at a network it does not know
        raise ExecutionError(last_line(error)) from error
    if not difference < _LARGEST_DIFFERENCE:
        raise ExecutionError(f"its answers differ from torch's by {difference:.2%}")
    log.info("converted %s for OpenVINO in %.1f s", source.name, time.monotonic() - started)
    return model


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """A failing `convert_model` leaves the whole process's logging at level ERROR."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _trace(source: Source) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """The traced module, and what the module answered while it was traced: a run of it is saved."""
    answers: list[torch.Tensor | tuple[torch.Tensor, ...]] = []
    hook = source.module.register_forward_hook(lambda module, inputs, answer: answers.append(answer))
    threads = torch.get_num_threads()
    try:
        # Replicas start together, and torch's threads wait for each other by spinning: on two cores with
        # three starts at a time, tracing took 90 s with two threads that takes 5 s with one.
        torch.set_num_threads(1)
        traced = torch.jit.trace(source.module, source.example_inputs, check_trace=False)  # type: ignore[no-untyped-call]
    finally:
        torch.set_num_threads(threads)
        hook.remove()
    answer = answers[-1]
    return traced, answer if isinstance(answer, tuple) else (answer,)


def _difference(
    core: Any, model: Any, inputs: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]
) -> float:
    """Largest relative L2 difference of the model's answers."""
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
    )
    answers = compiled([tensor.numpy() for tensor in inputs]).values()
    differences = [
        float(np.linalg.norm(answer - wanted.numpy()) / max(float(wanted.float().norm()), 1e-12))
        for answer, wanted in zip(answers, expected, strict=True)
    ]
    return float(np.max(differences))


def _save(model: Any, folder: Path) -> None:
    """Both files of the network under their final name at once."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        inner = Path(unfinished) / "network"
        inner.mkdir()
        openvino.save_model(model, inner / "network.xml", compress_to_fp16=False)
        for path in inner.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        inner.rename(folder)


def _forget_unused(folder: Path, name: str) -> None:
    """Remove conversions of this network by other versions that nobody has opened for a week."""
    for other in folder.parent.glob(f"{name}-*"):
        if other != folder and time.time() - other.stat().st_mtime > _KEEP_UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)


def _key(source: Source) -> str:
    """Names everything that the converted network depends on, our own code included."""
    parts = [source.weights_digest, openvino.get_version(), torch.__version__, repr(source.dynamic_axes)]
    parts += [f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in source.example_inputs]
    # All files beside the module's: the layers and functions that it is made of.
    files = sorted(Path(inspect.getfile(type(source.module))).parent.glob("*.py"))
    files += [Path(__file__), Path(__file__).with_name("fourier_products.py")]
    digest = hashlib.sha256("\n".join(parts).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]
