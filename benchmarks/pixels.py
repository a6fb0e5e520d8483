"""How long the engine's pixel work takes: `python -m benchmarks.pixels [PHOTO]`.

Prints one table at 1024 and 4096 pixels and one of PNG encoders: milliseconds of processor time,
best of five, one OpenCV thread, so that other load on the machine matters little. Without a photo a
drawn picture with the spectrum of photographs stands in.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.cutout import cut_out
from engine.encoding import encode_jpeg, encode_webp
from engine.lama.inpaint import composite, plan_removal
from engine.photo import picture_digest, read_photo
from engine.png import decode_png, encode_png
from engine.refine import refine_object
from engine.shapes import coco_rle, mask_polygons
from engine.types import DecodedObject, Fill, MaskCandidate, ObjectPrompt, RefineOptions, RgbImage

_SIDES = (1024, 4096)
_OBJECT_SHARES = (0.04, 0.4)  # of the picture's area
_RUNS = 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, help="any picture; scaled to each size")
    photo = parser.parse_args(arguments).photo
    cv2.setNumThreads(1)
    source = read_photo(photo, max_pixels=10**9, max_side=4096).image if photo else drawn_picture(4096, 2732)
    rows: dict[str, list[str]] = {}
    for side in _SIDES:
        for name, milliseconds in _timings(_resized(source, side)):
            rows.setdefault(name, []).append(f"{milliseconds:9.1f}")
    print(f"{'milliseconds of one core':34}" + "".join(f"{side:7} px" for side in _SIDES))
    for name, cells in rows.items():
        print(f"{name:34}" + " ".join(cells))
    print(f"\n{'PNG at 1024 px':34}{'ms':>10}{'KiB':>10}")
    for name, encode in _png_encoders(_resized(source, 1024)):
        print(f"{name:34}{_best_ms(encode):10.1f}{len(encode()) // 1024:10}")
    sys.stdout.flush()


def drawn_picture(width: int, height: int) -> RgbImage:
    """Noise whose power falls with frequency as in photographs, in slightly different colours."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells < max(width, height):
        noise = rng.normal(0, 1, (cells * height // width + 2, cells + 2, 1)) + rng.normal(
            0, 0.2, (cells * height // width + 2, cells + 2, 3)
        )
        total += cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC) / cells
        cells *= 2
    total = (total - total.min()) / (total.max() - total.min())
    return RgbImage((total * 255).astype(np.uint8))


def _resized(image: RgbImage, side: int) -> RgbImage:
    scale = side / max(image.width, image.height)
    size = (round(image.width * scale), round(image.height * scale))
    return RgbImage(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False))


def _blob_logits(image: RgbImage, share: float, side: int) -> NDArray[np.float32]:
    """Logits of an uneven blob in the picture's middle that covers about `share` of it."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    scale = side / max(image.width, image.height)
    x, y = columns - image.width * scale / 2, rows - image.height * scale / 2
    radius = np.sqrt(share * image.width * image.height / np.pi) * scale
    wobble = 1 + 0.12 * np.sin(5 * np.arctan2(y, x)) + 0.05 * np.sin(17 * np.arctan2(y, x))
    noise = np.random.default_rng(0).normal(0, 0.3, (side, side))
    return ((radius * wobble - np.hypot(x, y)) * 1.5 + noise).clip(-8, 8).astype(np.float32)


def _timings(image: RgbImage) -> list[tuple[str, float]]:
    jpeg = encode_jpeg(image.pixels)
    png = encode_png(image.pixels)
    timings = [
        ("read_photo (JPEG, not scaled)", _read_ms(jpeg, 4096)),
        ("read_photo (JPEG, to 1024)", _read_ms(jpeg, 1024)),
        ("picture_digest", _best_ms(lambda: picture_digest(image))),
        ("encode_png", _best_ms(lambda: encode_png(image.pixels))),
        ("decode_png", _best_ms(lambda: decode_png(png))),
        ("encode_jpeg", _best_ms(lambda: encode_jpeg(image.pixels))),
        ("encode_webp", _best_ms(lambda: encode_webp(image.pixels))),
    ]
    for side, image_size in ((64, 256), (256, 1024)):
        for share in _OBJECT_SHARES:
            candidate = MaskCandidate(_blob_logits(image, share, side), 0.9, 0.9)
            timings += _object_timings(
                image, DecodedObject((candidate,)), image_size, f"{share:.0%}, L={side}"
            )
    return timings


def _object_timings(
    image: RgbImage, decoded: DecodedObject, image_size: int, label: str
) -> list[tuple[str, float]]:
    item = refine_object(decoded, ObjectPrompt(), image, image_size, RefineOptions(), 0)
    timings = [
        (
            f"refine_object ({label})",
            _best_ms(lambda: refine_object(decoded, ObjectPrompt(), image, image_size, RefineOptions(), 0)),
        )
    ]
    if image_size == 256:
        return timings
    cut = cut_out(image, item, 16)
    plan = plan_removal(image, [item])
    part = (plan.tasks[0], Fill(plan.tasks[0].pixels), item.hole)
    return [
        *timings,
        (f"cut_out ({label})", _best_ms(lambda: cut_out(image, item, 16))),
        (f"encode_png of it ({label})", _best_ms(lambda: encode_png(cut.rgba))),
        (f"mask_polygons ({label})", _best_ms(lambda: mask_polygons(item.mask))),
        (f"coco_rle ({label})", _best_ms(lambda: coco_rle(item.mask, image.width, image.height))),
        (f"plan_removal ({label})", _best_ms(lambda: plan_removal(image, [item]))),
        (f"composite ({label})", _best_ms(lambda: composite(image, [part]))),
    ]


def _png_encoders(image: RgbImage) -> list[tuple[str, Callable[[], bytes]]]:
    def with_pillow(level: int) -> bytes:
        out = io.BytesIO()
        Image.fromarray(image.pixels).save(out, "PNG", compress_level=level)
        return out.getvalue()

    def with_opencv(level: int) -> bytes:
        options = (cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
        return cv2.imencode(".png", cv2.cvtColor(image.pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes()

    encoders: list[tuple[str, Callable[[], bytes]]] = [("encode_png", partial(encode_png, image.pixels))]
    for level in (1, 6):
        encoders.append((f"OpenCV, level {level}", partial(with_opencv, level)))
        encoders.append((f"Pillow, level {level}", partial(with_pillow, level)))
    return encoders


def _read_ms(data: bytes, max_side: int) -> float:
    return _best_ms(lambda: read_photo(data, max_pixels=10**9, max_side=max_side))


def _best_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1000


if __name__ == "__main__":
    main()
