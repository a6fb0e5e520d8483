"""Converted networks as compiled ones, each compiled once for a machine's kind of processor.

Owns the files beside a conversion in which OpenVINO's compiled networks are kept: reading one takes a third
of the processor time that compiling takes. Large ones are not kept; figures are in docs/networks.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # OpenVINO's objects come without types

import numpy as np

from engine.conversion import convert, convert_to_8_bits, last_line
from engine.errors import ExecutionError
from engine.kept_models import kept_for
from engine.network_source import NetworkSource
from engine.silent_openvino import openvino
from engine.types import Precision

log = logging.getLogger(__name__)

# Weights of a conversion are mapped, and all replicas of a machine share them; those of a compiled network
# are each replica's own: for full-size LaMa 200 MB a replica, and as much on disk, for two seconds.
_LARGEST_KEPT_BYTES = 32 << 20


def open_compiled(
    source: NetworkSource, properties: Mapping[str, Any], cache_dir: Path | None, precision: Precision
) -> Any:
    """The network as an `openvino.CompiledModel` for the CPU: from below `cache_dir`, or made now and kept.

    A folder that cannot be written costs the keeping only.

    Raises:
        ExecutionError: OpenVINO cannot convert or compile the network, or answers otherwise than torch.
        CheckpointError: the module cannot be built.
    """
    core = openvino.Core()
    if cache_dir is None:
        return _compile(core, _made(core, source, precision), properties)
    kept = kept_for(core, source, cache_dir, precision)
    try:
        kept.keep()
        keeps = kept.weights_bytes() <= _LARGEST_KEPT_BYTES
        file = kept.folder / f"compiled-{_key(core, properties)}.blob"
        opened = _read(core, file, properties, source.name) if keeps else None
        if opened is not None:
            return opened
        compiled = _compile(core, kept.read(core), properties)
    except OSError as error:
        log.warning("the converted %s cannot be kept: %s", source.name, error)
        return _compile(core, _made(core, source, precision), properties)
    if keeps:
        _keep(compiled, file, source.name)
    return compiled


def _made(core: Any, source: NetworkSource, precision: Precision) -> Any:
    model = convert(core, source)
    return convert_to_8_bits(core, source, model, precision) if precision.has_8_bits else model


def _compile(core: Any, model: Any, properties: Mapping[str, Any]) -> Any:
    try:
        return core.compile_model(model, "CPU", dict(properties))
    except RuntimeError as error:
        raise ExecutionError(last_line(error)) from error


def _read(core: Any, file: Path, properties: Mapping[str, Any], name: str) -> Any:
    """The compiled network in `file`; None if there is none that OpenVINO takes here."""
    try:
        # Mapped, not read: OpenVINO copies what it keeps.
        content = openvino.Tensor(np.memmap(file, np.uint8, "r"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: it is empty
        log.warning("the compiled %s cannot be read (%s); compiling it again", name, error)
        return None
    try:
        return core.import_model(content, "CPU", dict(properties))
    except (RuntimeError, ValueError) as error:  # ValueError: a message of OpenVINO's that is no text
        log.warning("the compiled %s is damaged (%s); compiling it again", name, last_line(error))
        return None


def _keep(compiled: Any, file: Path, name: str) -> None:
    try:
        content = compiled.export_model().getbuffer()
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".unfinished-") as folder:
            unfinished = Path(folder) / file.name
            with unfinished.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            unfinished.replace(file)
    except (OSError, RuntimeError) as error:
        log.warning("the compiled %s cannot be kept: %s", name, last_line(error))


def _key(core: Any, properties: Mapping[str, Any]) -> str:
    """Names what a compiled network depends on beside its conversion: a folder may serve many machines."""
    parts = [
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *(f"{key}={properties[key]}" for key in properties),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
