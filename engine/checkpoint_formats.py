"""The tensors inside a checkpoint file, whatever format it was saved in.

Owns recognising a file by its content (never by its name) and reading it without running any code
of its author. Does not know which network a file should hold.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from engine.checkpoint_errors import readable
from engine.errors import CheckpointError

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
# What people save in place of a checkpoint, by the first bytes of the file.
_LOOKALIKES = (
    (b"<", "it is a web page; download the file itself, not the page about it"),
    (b"version https://git-lfs", "it is a Git LFS pointer; run `git lfs pull`"),
)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors of a torch state dict, TorchScript archive or safetensors file, and its metadata.

    Floating point tensors come as fp32, others as they are; all on the CPU. Metadata is empty but
    for safetensors.

    Raises:
        CheckpointError: missing, unreadable, damaged, of no known format, or with values that are
            not finite. The message names the file and what to do.
    """
    try:
        with readable(path):
            with path.open("rb") as file:
                head = file.read(64)
            tensors, metadata = _read(path, head)
        exact = {name: _as_fp32(tensor) for name, tensor in tensors.items()}
        infinite = [name for name, tensor in exact.items() if not bool(torch.isfinite(tensor).all())]
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # of whatever kind: unpicklers meet damage with KeyError, IndexError and more
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} is damaged ({reason[:200]}); fetch or copy it again") from error
    if infinite:
        raise CheckpointError(f"{path} is damaged ({infinite[0]} is not finite); fetch or copy it again")
    return exact, metadata


def _read(path: Path, head: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if head.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"the checksum of {broken} is wrong")
        is_torchscript = any(name.endswith("/constants.pkl") for name in names)
        return (_read_torchscript(path) if is_torchscript else _read_state_dict(path)), {}
    if head.startswith(_PICKLE):
        return _read_state_dict(path), {}
    if head[8:9] == b"{":
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    for start, advice in _LOOKALIKES:
        if head.lstrip().startswith(start):
            raise CheckpointError(f"{path} is not a checkpoint: {advice}")
    raise CheckpointError(f"{path} is not a checkpoint (torch state dict, TorchScript or safetensors)")


def _read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise CheckpointError(
            f"{path} holds no plain state dict (names to tensors); save `model.state_dict()`"
        )
    return {str(name): tensor for name, tensor in content.items()}


def _read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        # LaMa is released in this format, which torch deprecates for new files.
        warnings.simplefilter("ignore", DeprecationWarning)
        module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return {str(name): tensor.detach() for name, tensor in module.state_dict().items()}


def _as_fp32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
