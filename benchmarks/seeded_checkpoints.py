"""Full-size checkpoints of the released formats with made-up values, for measuring and testing.

Speed, memory and parity do not depend on what the weights say, so a machine without the released
files can still run networks of their exact size. The pictures that come out are noise; so are the
masks, unless each tap is made to have a disc (`benchmarks/disc_decoder.py`).

    python -m benchmarks.seeded_checkpoints --layouts tests/golden --seed 0 --out FOLDER [--discs]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.disc_decoder import draw_discs

ROOT = Path(__file__).resolve().parents[1]


def write_seeded_checkpoints(
    layouts: Path, seed: int, out: Path, *, discs: bool = False
) -> tuple[Path, Path]:
    """Write `mobile_sam.pt` (a state dict) and `big-lama.pt` (TorchScript) into the folder `out`.

    `layouts` holds `seeded_weights.py` and the two `*_layout.json`; the values depend on tensor
    names and `seed` alone, but for the masks' where `discs` gives each tap an object.
    """
    values = _load_module(layouts / "seeded_weights.py")
    out.mkdir(parents=True, exist_ok=True)
    mobile_sam, lama = out / "mobile_sam.pt", out / "big-lama.pt"
    tensors = _tensors(values, layouts / "mobile_sam_layout.json", seed)
    if discs:
        draw_discs(tensors)
    torch.save(tensors, mobile_sam)
    holder = _hold(_tensors(values, layouts / "big_lama_layout.json", seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(holder), lama)
    return mobile_sam, lama


def _tensors(values: ModuleType, layout: Path, seed: int) -> dict[str, torch.Tensor]:
    # One at a time: a generator of 200 MB need not be there twice.
    return {
        name: torch.from_numpy(values.seeded_tensor(name, shape, seed).copy())
        for name, shape in json.loads(layout.read_text()).items()
    }


def _hold(tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module without computation whose `state_dict()` is `tensors`."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        node = root
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, torch.nn.Module())
            node = node.get_submodule(part)
        node.register_buffer(leaf, tensor)
    return root


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write both files and print their paths and sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeded_checkpoints", description=__doc__)
    parser.add_argument(
        "--layouts", type=Path, default=ROOT / "tests" / "golden", help="folder of the layouts"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--discs", action="store_true", help="a tap has a disc, not noise, for its mask")
    options = parser.parse_args()
    for path in write_seeded_checkpoints(options.layouts, options.seed, options.out, discs=options.discs):
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
