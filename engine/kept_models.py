"""OpenVINO models on disk, each made once on a machine.

Owns the folders where models are kept for other processes and later starts: converted networks, and the same
in 8 bits. Who makes them is `conversion.py` and `quantization.py`; what is compiled of them lies in the same
folders (`compilation.py`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any  # openvino.Model and openvino.Core come without types

from engine.conversion import convert, convert_to_8_bits, last_line
from engine.file_lock import only_process
from engine.network_source import CONVERTING, QUANTIZING, NetworkSource, digest_of_code
from engine.silent_openvino import openvino
from engine.types import Precision

log = logging.getLogger(__name__)

_FILE = "network.xml"
_KEEP_UNUSED_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class KeptModel:
    """One model and its folder.

    Attributes:
        name: of the network, with what was done to it; locks and log lines bear it.
        folder: `name-KEY`, the key naming everything that the model depends on.
        make: makes it where it is not kept.
    """

    name: str
    folder: Path
    make: Callable[[], Any]

    def keep(self) -> None:
        """See that the model is in its folder; of several processes one makes it and the others wait.

        Raises:
            ExecutionError: OpenVINO cannot express the network, or answers otherwise than torch.
            OSError: the folder cannot be written.
        """
        if not self._is_whole():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with only_process(self.folder.parent / f"{self.name}.lock", f"converting {self.name}"):
                if not self._is_whole():
                    _save(self.make(), self.folder)
                    _forget_unused(self.folder, self.name)
        with suppress(OSError):
            os.utime(self.folder)

    def _is_whole(self) -> bool:
        """Whether both files are there: one of them may have been swept away."""
        return all((self.folder / _FILE).with_suffix(ending).exists() for ending in (".xml", ".bin"))

    def read(self, core: Any) -> Any:
        """The model as an `openvino.Model`, kept now if it was not; a damaged one is made again.

        Raises:
            ExecutionError, OSError: see `keep`.
        """
        self.keep()
        try:
            return core.read_model(self.folder / _FILE)
        except RuntimeError as error:
            log.warning("the converted %s is damaged (%s); converting it again", self.name, last_line(error))
            shutil.rmtree(self.folder)
            self.keep()
            return core.read_model(self.folder / _FILE)

    def weights_bytes(self) -> int:
        """Size of the kept model's weights.

        Raises:
            OSError: they are not there.
        """
        return (self.folder / _FILE).with_suffix(".bin").stat().st_size


def kept_for(core: Any, source: NetworkSource, cache_dir: Path, precision: Precision) -> KeptModel:
    """What is compiled for `precision`: bf16 is made of fp32 while compiling, 8 bits are not."""
    if precision.has_8_bits:
        return _kept_in_8_bits(core, source, cache_dir, precision)
    return _kept_conversion(core, source, cache_dir)


def _kept_conversion(core: Any, source: NetworkSource, cache_dir: Path) -> KeptModel:
    """The network as torch has it, in fp32."""
    folder = cache_dir / "converted" / f"{source.name}-{_key(source)}"
    return KeptModel(source.name, folder, partial(convert, core, source))


def _kept_in_8_bits(core: Any, source: NetworkSource, cache_dir: Path, precision: Precision) -> KeptModel:
    """The network with its wide convolutions in 8 bits, made of the kept conversion."""
    exact, name = _kept_conversion(core, source, cache_dir), f"{source.name}_{precision.value}"
    key = f"{exact.folder.name} {digest_of_code(*QUANTIZING)}"
    folder = exact.folder.with_name(f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}")
    return KeptModel(name, folder, lambda: convert_to_8_bits(core, source, exact.read(core), precision))


def _save(model: Any, folder: Path) -> None:
    """Both files of the network under their final name at once, in place of what is left of older ones.

    Raises:
        OSError: they cannot be written, for want of room, say.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        inner = Path(unfinished) / "network"
        inner.mkdir()
        try:
            openvino.save_model(model, inner / _FILE, compress_to_fp16=False)
        except RuntimeError as error:  # what OpenVINO makes of the system's complaints
            raise OSError(f"{inner} cannot be written ({last_line(error)}); is there room?") from error
        for path in inner.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        inner.rename(folder)


def _forget_unused(folder: Path, name: str) -> None:
    """Remove models of this name by other versions that nobody has opened for a week, and halves as old."""
    for other in (*folder.parent.glob(f"{name}-*"), *folder.parent.glob(".unfinished-*")):
        with suppress(FileNotFoundError):  # another process's half may be whole by now
            if other != folder and time.time() - other.stat().st_mtime > _KEEP_UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)


def _key(source: NetworkSource) -> str:
    """Names everything that the converted network depends on, our own code included."""
    parts = [source.weights_digest, openvino.get_version(), version("torch"), repr(source.dynamic_axes)]
    parts += [f"{array.shape} {array.dtype}" for array in source.example_inputs]
    code = digest_of_code(source.code, *CONVERTING)
    return hashlib.sha256("\n".join([*parts, code]).encode()).hexdigest()[:32]
