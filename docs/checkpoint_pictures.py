"""What the bundled checkpoints do well and badly: `python -m docs.checkpoint_pictures`.

Draws `docs/checkpoints.webp`. The pictures are drawn scenes that training has not seen, because no
photograph is part of the project. Of `SCENES` scenes with one tap each: the three best masks and the three
worst; and the removals that change the object most, middling and least. Figures alone decide which.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.removal_quality import service_fill
from benchmarks.segmentation_quality import KnownObject, Network, iou
from deployments.networks import load_decoder, load_encoder, load_inpainter
from engine.refine import refine_given_mask
from engine.regions import reframed, tight_box
from engine.types import MaskRegion, ObjectPrompt, PixelBox, RefineOptions, RgbImage
from settings import read_settings
from training.segmentation_scenes import draw_scene

SCENES, SIDE, CELL, FIRST_SEED = 40, 384, 192, 90_000
TARGET = Path(__file__).with_name("checkpoints.webp")
GREEN, RED, BLUE = (0, 200, 0), (230, 0, 0), (40, 90, 255)

Picture = NDArray[np.uint8]


def scene(seed: int) -> KnownObject:
    """One drawn scene and the largest object in it, tapped in its middle."""
    pixels, labels = draw_scene(SIDE, np.random.default_rng(seed))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    mask = labels == int(areas.argmax())
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    everywhere = np.ones_like(mask)
    return KnownObject(f"{seed}", "drawn", "drawn", RgbImage(pixels), mask, everywhere, (float(x), float(y)))


def masked(item: KnownObject, mask: NDArray[np.bool_], score: float) -> Picture:
    """Right green, missed red, too much blue, the tap yellow, the IoU below."""
    shown = item.image.pixels.astype(np.float32)
    for where, colour in (
        (mask & item.is_object, GREEN),
        (item.is_object & ~mask, RED),
        (mask & ~item.is_object, BLUE),
    ):
        shown[where] = 0.55 * shown[where] + 0.45 * np.array(colour, np.float32)
    cell = shown.astype(np.uint8)
    cv2.circle(cell, (round(item.tap[0]), round(item.tap[1])), 7, (255, 230, 0), -1)
    return labelled(cell, f"IoU {score:.2f}")


def labelled(picture: Picture, text: str) -> Picture:
    """Small, with a line of text."""
    cell = cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(cell, text, (6, CELL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return cell


def removals(items: list[KnownObject]) -> list[tuple[float, Picture, Picture]]:
    """How much each removal changed the object, grey levels; the picture before and after."""
    settings = read_settings()
    fill = service_fill(load_inpainter(settings).inpainter, settings.inpaint_sizes, [])
    answers = []
    for item in items:
        whole = PixelBox(0, 0, SIDE, SIDE)
        box = tight_box(item.is_object, whole)
        assert box is not None
        region = MaskRegion(box, reframed(item.is_object, whole, box))
        refined = refine_given_mask(region, ObjectPrompt((), ()), item.image, RefineOptions(), 0)
        answer = fill(item.image, refined)
        change = float(np.abs(answer.astype(np.float32) - item.image.pixels)[item.is_object].mean())
        answers.append((change, item.image.pixels, answer))
    return answers


def main() -> None:
    """Write the picture and print every score."""
    settings = read_settings()
    encoder, decoder = load_encoder(settings), load_decoder(settings)
    network = Network(encoder.encoder, decoder.decoder, decoder.image_size, decoder.closer_look)
    items = [scene(FIRST_SEED + number) for number in range(SCENES)]
    scored = []
    for item in items:
        served, _ = network.on(item.image)
        mask = served(ObjectPrompt((item.tap,), (1,)))
        scored.append((iou(mask, item.is_object), item, mask))
    scored.sort(key=lambda one: one[0])
    print("IoU:", " ".join(f"{score:.2f}" for score, _, _ in scored))
    chosen = [*scored[-3:], *scored[:3]]
    first = np.hstack([masked(item, mask, score) for score, item, mask in chosen])
    emptied = sorted(removals(items), key=lambda one: one[0])
    print("change:", " ".join(f"{change:.0f}" for change, _, _ in emptied))
    middle = len(emptied) // 2
    second = np.hstack(
        [
            labelled(picture, text)
            for _, before, after in (emptied[-1], emptied[middle], emptied[0])
            for picture, text in ((before, "before"), (after, "after"))
        ]
    )
    Image.fromarray(np.vstack([first, second])).save(TARGET, quality=86, method=6)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
