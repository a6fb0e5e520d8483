"""The training photographs of segmentation as one small file.

Owns the pack: every photograph as JPEG and its masks as PNG, scaled down once, so that a machine
without the data set trains from one file that it reads whole. The pack is never part of the project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

LONG_SIDE_PX = 432  # networks train at 320 at most; the rest is room for zooming in
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class PackedPhoto:
    """One photograph; each of its label maps numbers objects 1.., 0 is none of them."""

    subset: str
    jpeg: bytes
    label_maps: tuple[bytes, ...]  # PNG, 8 bits


def pack_photos(data: Path, pack: Path) -> None:
    """Read `data`/train/manifest.jsonl and write the pack, whole or not at all."""
    rows = [json.loads(line) for line in (data / "train" / "manifest.jsonl").read_text().splitlines()]
    names: list[dict[str, object]] = []
    blobs: list[bytes] = []
    for row in tqdm(rows, desc="packing photographs", unit="photo"):
        image = _read(data / row["image"], cv2.IMREAD_COLOR)
        scale = min(LONG_SIDE_PX / max(image.shape[:2]), 1.0)
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        blobs.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        for mask in row["masks"]:
            labels = _read(data / mask, cv2.IMREAD_GRAYSCALE)
            if row["kind"] == "binary":
                labels = (labels > 127).astype(np.uint8)
            small_labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
            blobs.append(cv2.imencode(".png", small_labels)[1].tobytes())
        names.append({"subset": row["subset"], "maps": len(row["masks"])})
    ends = np.cumsum([len(blob) for blob in blobs])
    partial = pack.with_suffix(".partial.npz")
    pack.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        partial, index=np.array(json.dumps(names)), ends=ends, bytes=np.frombuffer(b"".join(blobs), np.uint8)
    )
    partial.rename(pack)


def open_pack(pack: Path) -> list[PackedPhoto]:
    """All photographs of a pack, still compressed (about 30 kB each)."""
    with np.load(pack) as archive:
        index = json.loads(str(archive["index"]))
        ends = archive["ends"].tolist()
        content = archive["bytes"].tobytes()
    blobs = iter([content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)])
    return [
        PackedPhoto(entry["subset"], next(blobs), tuple(next(blobs) for _ in range(entry["maps"])))
        for entry in index
    ]


def _read(path: Path, mode: int) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise FileNotFoundError(f"cannot read {path}")
    return image.astype(np.uint8, copy=False)
