"""Torch modules as OpenVINO models, each converted once on a machine.

Owns tracing, the check that a conversion answers as its module does, and the folder where
conversions are kept for other processes and later starts. How they are compiled is `compilation.py`, how
they run is `runtime_openvino.py`. Imports torch only to convert.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any  # openvino.Model and openvino.Core come without types

import numpy as np

from engine.errors import ExecutionError
from engine.file_lock import only_process
from engine.fourier_products import replace_transforms
from engine.network_source import NetworkSource, digest_of_code
from engine.silent_openvino import openvino

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_FILE = "network.xml"
_KEEP_UNUSED_S = 7 * 86_400.0
# A wrong conversion is wrong by far, while some networks make 1e-2 of the last bits of fp32.
_LARGEST_DIFFERENCE = 0.05


def converted_folder(source: NetworkSource, cache_dir: Path) -> Path:
    """Where below `cache_dir` the conversion of this network is kept, and what is made of it."""
    return cache_dir / "converted" / f"{source.name}-{_key(source)}"


def keep_converted(core: Any, source: NetworkSource, folder: Path) -> None:
    """See that the network is in `folder`, a `converted_folder`, converting it now if it is not.

    Of several processes one converts and the others wait for it.

    Raises:
        ExecutionError: OpenVINO cannot express the network, or answers otherwise than torch.
        OSError: the folder cannot be written.
    """
    if not (folder / _FILE).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_process(folder.parent / f"{source.name}.lock", f"converting {source.name}"):
            if not (folder / _FILE).exists():
                _save(convert(core, source), folder)
                _forget_unused(folder, source.name)
    with suppress(OSError):
        os.utime(folder)


def read_converted(core: Any, source: NetworkSource, folder: Path) -> Any:
    """The network in `folder` as an `openvino.Model`; a damaged one is converted again.

    Raises:
        ExecutionError, OSError: see `keep_converted`.
    """
    try:
        return core.read_model(folder / _FILE)
    except RuntimeError as error:
        log.warning("the converted %s is damaged (%s); converting it again", source.name, last_line(error))
        shutil.rmtree(folder)
        keep_converted(core, source, folder)
        return core.read_model(folder / _FILE)


def weights_bytes(folder: Path) -> int:
    """Size of the weights of the network in `folder`.

    Raises:
        OSError: they are not there.
    """
    return (folder / _FILE).with_suffix(".bin").stat().st_size


def last_line(error: Exception) -> str:
    """The end of an error's text, where OpenVINO says what is the matter."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def convert(core: Any, source: NetworkSource) -> Any:
    """The network as an `openvino.Model`, kept nowhere.

    Raises:
        CheckpointError: the module cannot be built.
        ExecutionError: OpenVINO cannot express the network, or answers otherwise than torch.
    """
    import torch

    started = time.monotonic()
    shapes = [
        openvino.PartialShape([-1 if axis in axes else length for axis, length in enumerate(array.shape)])
        for array, axes in zip(source.example_inputs, source.dynamic_axes, strict=True)
    ]
    module = source.load().eval().requires_grad_(False)
    inputs = tuple(torch.from_numpy(array) for array in source.example_inputs)
    try:
        with warnings.catch_warnings(), _root_logger_kept(), torch.no_grad():
            # Tracing is deprecated in favour of torch.export, which takes 3 to 9 times as long for our
            # networks and leaves Fourier transforms unconverted (torch 2.13, OpenVINO 2026.4).
            warnings.simplefilter("ignore")
            traced, expected = _trace(module, inputs)
            model = openvino.convert_model(traced, example_input=inputs, input=shapes)
        replace_transforms(model)
        difference = _difference(core, model, inputs, expected)
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


def _trace(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """The traced module, and what the module answered while it was traced: a run of it is saved."""
    import torch

    answers: list[torch.Tensor | tuple[torch.Tensor, ...]] = []
    hook = module.register_forward_hook(lambda module, inputs, answer: answers.append(answer))
    threads = torch.get_num_threads()
    try:
        # Replicas start together, and torch's threads wait for each other by spinning: on two cores with
        # three starts at a time, tracing took 90 s with two threads that takes 5 s with one.
        torch.set_num_threads(1)
        traced = torch.jit.trace(module, inputs, check_trace=False)  # type: ignore[no-untyped-call]
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
        openvino.save_model(model, inner / _FILE, compress_to_fp16=False)
        for path in inner.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        inner.rename(folder)


def _forget_unused(folder: Path, name: str) -> None:
    """Remove conversions of this network by other versions that nobody has opened for a week."""
    for other in folder.parent.glob(f"{name}-*"):
        if other != folder and time.time() - other.stat().st_mtime > _KEEP_UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)


def _key(source: NetworkSource) -> str:
    """Names everything that the converted network depends on, our own code included."""
    parts = [source.weights_digest, openvino.get_version(), version("torch"), repr(source.dynamic_axes)]
    parts += [f"{array.shape} {array.dtype}" for array in source.example_inputs]
    here = Path(__file__)
    parts.append(digest_of_code(source.code, here, here.with_name("fourier_products.py")))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
