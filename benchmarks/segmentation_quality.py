"""How good masks are after one, two and three taps, on photographs whose masks are known.

Owns the simulated user, the scores, and GrabCut as the rival. A tap after the first is where a user would
correct: in the middle of the largest error, on the object if it is missed there, beside it if it is too much
(as in the literature on interactive segmentation). Pixels whose truth is unknown count nowhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.closer_look import look_closer
from engine.errors import MaskTooSmallError
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder, upscale_logits
from engine.photo import read_photo
from engine.refine import refine_object
from engine.regions import whole_mask
from engine.types import ImageEmbedding, ObjectPrompt, RefineOptions, RgbImage

TAPS = 3
GOOD_IOU = 0.8
_UNKNOWN = 128  # in a mask file
_OUTLINE_SHARE = 0.008  # of the diagonal: how far two outlines may lie apart and still agree
_BOX_SHARE = 0.8  # of the picture, each side: where GrabCut looks for the object
_GRABCUT_ROUNDS, _GRABCUT_SIDE_PX = 5, 400
_TAP_SHARE = 0.01  # of the diagonal: radius of what GrabCut is told about a tap

Mask = NDArray[np.bool_]
Segmenter = Callable[[ObjectPrompt], Mask]


@dataclass(frozen=True, slots=True)
class KnownObject:
    """One object of one photograph; `tap` is a pixel in its middle."""

    name: str
    subset: str
    tier: str
    image: RgbImage
    is_object: Mask
    counted: Mask
    tap: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one method after some taps."""

    iou: float
    boundary_f: float


def known_objects(folder: Path) -> Iterator[KnownObject]:
    """The objects of `folder`/index.json: image, mask (255 object, 128 unknown), click, subset, tier.

    Raises:
        FileNotFoundError: a picture or a mask is not there.
    """
    for row in json.loads((folder / "index.json").read_text())["objects"]:
        image = read_photo((folder / row["image"]).read_bytes(), max_pixels=10**8, max_side=10**4).image
        truth = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_GRAYSCALE)
        if truth is None:
            raise FileNotFoundError(f"cannot read {folder / row['mask']}")
        x, y = row["click"]
        yield KnownObject(
            row["name"],
            row.get("subset", "all"),
            row.get("tier", "core"),
            image,
            truth == 255,
            truth != _UNKNOWN,
            (float(x), float(y)),
        )


def tapped(item: KnownObject, segment: Segmenter, taps: int = TAPS) -> list[Score]:
    """Scores after 1, 2 ... `taps` taps of the simulated user."""
    points, labels, scores = [item.tap], [1], []
    while True:
        mask = segment(ObjectPrompt(tuple(points), tuple(labels))) & item.counted
        scores.append(Score(iou(mask, item.is_object), boundary_f(mask, item.is_object)))
        if len(scores) == taps:
            return scores
        point, label = next_tap(mask, item)
        points.append(point)
        labels.append(label)


def next_tap(mask: Mask, item: KnownObject) -> tuple[tuple[float, float], int]:
    """The pixel deepest inside the largest error, and 1 if the object was missed there, else 0."""
    missed, extra = item.is_object & ~mask, mask & ~item.is_object & item.counted
    depths = [cv2.distanceTransform(np.pad(e, 1).astype(np.uint8), cv2.DIST_L2, 5) for e in (extra, missed)]
    label = int(depths[1].max() >= depths[0].max())
    y, x = np.unravel_index(int(depths[label].argmax()), depths[label].shape)
    return (float(x - 1), float(y - 1)), label


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of two masks of one size."""
    return int(np.count_nonzero(mask & truth)) / max(int(np.count_nonzero(mask | truth)), 1)


def boundary_f(mask: Mask, truth: Mask) -> float:
    """F measure of the outlines (Perazzi et al., CVPR 2016), which agree within .8 % of the diagonal."""
    reach = max(1, round(_OUTLINE_SHARE * float(np.hypot(*mask.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    edges = [_edge(one) for one in (mask, truth)]
    near = [cv2.dilate(edge.astype(np.uint8), disc) > 0 for edge in edges]
    if not edges[0].any() or not edges[1].any():
        return float(edges[0].any() == edges[1].any())
    precision = np.count_nonzero(edges[0] & near[1]) / np.count_nonzero(edges[0])
    recall = np.count_nonzero(edges[1] & near[0]) / np.count_nonzero(edges[1])
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _edge(mask: Mask) -> Mask:
    """Pixels of the mask with a neighbour outside; the picture's border is none."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    return np.asarray(mask & (inner == 0))


@dataclass(slots=True)
class Network:
    """The loaded checkpoints as segmenters of one picture, and what they took."""

    encoder: PictureEncoder
    decoder: PromptDecoder
    image_size: int
    closer_look: float  # see `MobileSamConfig`
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    refine_s: list[float] = field(default_factory=list)
    closer_s: list[float] = field(default_factory=list)

    def on(self, image: RgbImage) -> tuple[Segmenter, Segmenter]:
        """As the service answers, and the first mask as it leaves the network."""
        started = time.perf_counter()
        (embedding,) = self.encoder.encode([image])
        self.encode_s.append(time.perf_counter() - started)
        return (
            lambda prompt: self._served(image, embedding, prompt),
            lambda prompt: self._bare(image, embedding, prompt),
        )

    def _served(self, image: RgbImage, embedding: ImageEmbedding, prompt: ObjectPrompt) -> Mask:
        started = time.perf_counter()
        ((decoded,),) = self.decoder.decode([(embedding, [prompt])])
        self.decode_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        if self.closer_look:
            decoded = look_closer(
                self.encoder, self.decoder, decoded, prompt, image, self.image_size, self.closer_look
            )
            self.closer_s.append(time.perf_counter() - started)
            started = time.perf_counter()
        try:
            item = refine_object(decoded, prompt, image, self.image_size, RefineOptions(), 0)
        except MaskTooSmallError:
            return np.zeros((image.height, image.width), np.bool_)
        finally:
            self.refine_s.append(time.perf_counter() - started)
        return whole_mask(item.mask, image.width, image.height) > 0

    def _bare(self, image: RgbImage, embedding: ImageEmbedding, prompt: ObjectPrompt) -> Mask:
        ((decoded,),) = self.decoder.decode([(embedding, [prompt])])
        logits = decoded.candidates[0].logits
        return upscale_logits(logits, image.width, image.height, self.image_size) > 0


def grabcut_on(image: RgbImage) -> Segmenter:
    """OpenCV's GrabCut, told a box of 80 % of the picture and the taps; it knows no objects.

    It sees the picture with at most 400 px a side, as it takes seconds for each tap.
    """
    scale = min(1.0, _GRABCUT_SIDE_PX / max(image.height, image.width))
    small = cv2.resize(image.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    radius = max(2, round(_TAP_SHARE * float(np.hypot(height, width))))

    def segment(prompt: ObjectPrompt) -> Mask:
        marks = np.full((height, width), cv2.GC_BGD, np.uint8)
        top, left = (round(side * (1 - _BOX_SHARE) / 2) for side in (height, width))
        marks[top : height - top, left : width - left] = cv2.GC_PR_FGD
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
            mark = cv2.GC_FGD if label else cv2.GC_BGD
            cv2.circle(marks, (round(x * scale), round(y * scale)), radius, int(mark), -1)
        pixels = np.ascontiguousarray(small[..., ::-1])
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(pixels, marks, (0, 0, 1, 1), *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        found = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
        size = image.width, image.height
        return np.asarray(cv2.resize(found.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)

    return segment


def summary(scores: Sequence[Sequence[Score]]) -> list[float]:
    """Mean IoU after each tap, share of objects that are good after the first, boundary F after it.

    NaN for taps that were not tried.
    """
    ious = np.array([[score.iou for score in one] for one in scores])
    first = ious[:, 0]
    ious = np.pad(ious, ((0, 0), (0, TAPS - ious.shape[1])), constant_values=np.nan)
    edges = np.mean([one[0].boundary_f for one in scores])
    return [*ious.mean(axis=0).tolist(), float((first > GOOD_IOU).mean()), float(edges)]
