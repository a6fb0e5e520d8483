"""How good the served masks are on real photos, and what their outlines cost.

    python -m benchmarks.outlines FOLDER

FOLDER holds an `index.json` of objects (image, mask, click), masks being 255 on the object and 128 where
nothing is counted. One tap an object, the checkpoints that the settings name. Boundary IoU (Cheng et
al., CVPR 2021) is that of the outlines, drawn 1 % of the diagonal wide; milliseconds are processor time
of `refine_object` on one OpenCV thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deployments.networks import load_decoder, load_encoder
from engine.errors import MaskTooSmallError
from engine.photo import read_photo
from engine.refine import refine_object
from engine.regions import whole_mask
from engine.types import DecodedObject, ObjectPrompt, RefineOptions, RgbImage
from settings import read_settings

IGNORED = 128
_OUTLINE_SHARE = 0.01  # of the diagonal


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    cv2.setNumThreads(1)
    settings = read_settings()
    encoder, decoder = load_encoder(settings), load_decoder(settings)
    ious, boundary_ious, milliseconds = [], [], []
    for row in json.loads((folder / "index.json").read_text())["objects"]:
        image = read_photo((folder / row["image"]).read_bytes(), max_pixels=10**8, max_side=10**4).image
        truth = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_GRAYSCALE)
        if truth is None:
            raise FileNotFoundError(folder / row["mask"])
        x, y = row["click"]
        prompt = ObjectPrompt(((float(x), float(y)),), (1,))
        (embedding,) = encoder.encoder.encode([image])
        ((decoded,),) = decoder.decoder.decode([(embedding, [prompt])])
        started = time.process_time()
        mask = _served(decoded, prompt, image, decoder.image_size)
        milliseconds.append(1000 * (time.process_time() - started))
        counted = mask & (truth != IGNORED)
        ious.append(_iou(counted, truth == 255))
        boundary_ious.append(_iou(_outline(counted), _outline(truth == 255)))
    print(f"{encoder.description['name']}: {len(ious)} objects, one tap each, as served")
    print(f"mean IoU {np.mean(ious):.4f}, boundary IoU {np.mean(boundary_ious):.4f}")
    p50, p95 = np.percentile(milliseconds, (50, 95))
    print(f"refine_object: p50 {p50:.1f} ms, p95 {p95:.1f} ms, largest {max(milliseconds):.1f} ms")


def _served(
    decoded: DecodedObject, prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> NDArray[np.bool_]:
    try:
        item = refine_object(decoded, prompt, image, image_size, RefineOptions(), 0)
    except MaskTooSmallError:
        return np.zeros((image.height, image.width), np.bool_)
    return whole_mask(item.mask, image.width, image.height) > 0


def _iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(mask & truth)) / max(int(np.count_nonzero(mask | truth)), 1)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object's pixels within reach of its edge; the picture's border is an edge, too."""
    reach = max(1, round(_OUTLINE_SHARE * float(np.hypot(*mask.shape))))
    framed = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=reach)
    return np.asarray((framed - inner)[1:-1, 1:-1] > 0)


if __name__ == "__main__":
    main()
