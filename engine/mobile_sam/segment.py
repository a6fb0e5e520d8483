"""Segmentation as values: pictures to embeddings, prompts to masks.

Owns what surrounds the two networks: resizing and padding pictures as Segment Anything does, prompts
as batches, the choice among masks, and logits back at the picture's size. Stateless: every call gets
all it needs. How a network is executed is `engine.runtime`'s business; here it is a callable.

Source of the conventions: Segment Anything (Kirillov et al. 2023, Apache-2.0).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.mobile_sam.frame import framed_size
from engine.mobile_sam.point_labels import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FILLER, NOT_A_POINT
from engine.types import DecodedObject, ImageEmbedding, MaskCandidate, ObjectPrompt, RgbImage

# Numpy arrays in, numpy arrays out, batch first.
Network = Callable[..., tuple[NDArray[np.float32], ...]]

PIXEL_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
PIXEL_STD = np.array([58.395, 57.12, 57.375], np.float32)
# What each of a channel's 256 values becomes: float32 [256, 3].
_NORMALISED = ((np.arange(256, dtype=np.uint8)[:, None] - PIXEL_MEAN) / PIXEL_STD).astype(np.float32)
STABILITY_OFFSET = 1.0  # logits; the mask that hardly moves between -1 and +1 is the surer one


def preprocess(image: RgbImage, image_size: int) -> NDArray[np.float32]:
    """Bring a picture into the network's frame: float32 [3, image_size, image_size] RGB.

    Resized with antialiasing in 8 bits as at training, normalised, padded with zeros on the right and
    at the bottom.
    """
    size = framed_size(image.width, image.height, image_size)
    resized = np.asarray(Image.fromarray(image.pixels).resize(size, Image.Resampling.BILINEAR))
    frame = np.zeros((3, image_size, image_size), np.float32)
    for channel, plane in enumerate(cv2.split(resized)):
        cv2.LUT(plane, _NORMALISED[:, channel], frame[channel, : size[1], : size[0]])
    return frame


def upscale_logits(
    logits: NDArray[np.float32], width: int, height: int, image_size: int
) -> NDArray[np.float32]:
    """Logits at the picture's size.

    Args:
        logits: float32 [L, L] in the padded frame.
        width: of the picture, pixels.
        height: of the picture, pixels.
        image_size: side of the padded frame, pixels.

    Returns:
        float32 [height, width], > 0 is the object: bilinear to the frame, cropped, bilinear to the picture.
    """
    frame = cv2.resize(logits, (image_size, image_size), interpolation=cv2.INTER_LINEAR)
    framed_width, framed_height = framed_size(width, height, image_size)
    shown = np.ascontiguousarray(frame[:framed_height, :framed_width])
    return cv2.resize(shown, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


class PictureEncoder:
    """Encodes pictures with a network float32 [B, 3, S, S] -> ([B, C, G, G],)."""

    def __init__(self, network: Network, image_size: int) -> None:
        self._network = network
        self._image_size = image_size

    def encode(self, images: Sequence[RgbImage]) -> list[ImageEmbedding]:
        """Embed pictures of any sizes in one run of the network; features are float16 [C, G, G]."""
        if not images:
            return []
        frames = [preprocess(image, self._image_size) for image in images]
        (features,) = self._network(np.stack(frames) if len(frames) > 1 else frames[0][None])
        return [
            ImageEmbedding(np.ascontiguousarray(row, np.float16), image.width, image.height)
            for row, image in zip(features, images, strict=True)
        ]


class PromptDecoder:
    """Decodes prompts with a network.

    The network takes float32 [B, C, G, G], float32 [B, P, 2], int64 [B, P] and gives logits
    [B, M, L, L] and predicted IoU [B, M]; at most `max_rows` objects go into one run of it.
    `single_first`: see `MobileSamConfig`.
    """

    def __init__(
        self, network: Network, image_size: int, max_rows: int = 16, *, single_first: bool = False
    ) -> None:
        self._network = network
        self._image_size = image_size
        self._max_rows = max_rows
        self._single_first = single_first

    def decode(
        self, requests: Sequence[tuple[ImageEmbedding, Sequence[ObjectPrompt]]]
    ) -> list[list[DecodedObject]]:
        """Decode all objects of all requests together; prompts must have passed `validate_prompt`.

        Candidates are ordered by use: for one tap alone or a box alone the network's ambiguous masks
        come first, by predicted IoU, its single mask last, unless the checkpoint says that this one is
        better; for any other prompt the single mask first.
        """
        rows = [(embedding, prompt) for embedding, prompts in requests for prompt in prompts]
        decoded = itertools.chain.from_iterable(
            self._decode_rows(rows[start : start + self._max_rows])
            for start in range(0, len(rows), self._max_rows)
        )
        return [list(itertools.islice(decoded, len(prompts))) for _, prompts in requests]

    def _decode_rows(self, rows: Sequence[tuple[ImageEmbedding, ObjectPrompt]]) -> Iterator[DecodedObject]:
        features = np.stack([embedding.features for embedding, _ in rows]).astype(np.float32, copy=False)
        points, labels = prompt_arrays(
            [(prompt, embedding.width, embedding.height) for embedding, prompt in rows], self._image_size
        )
        all_logits, all_ious = self._network(features, points, labels)
        for (embedding, prompt), logits, ious in zip(rows, all_logits, all_ious, strict=True):
            framed_width, framed_height = framed_size(embedding.width, embedding.height, self._image_size)
            side = logits.shape[-1]
            visible = (
                slice(0, -(-framed_height * side // self._image_size)),
                slice(0, -(-framed_width * side // self._image_size)),
            )
            yield DecodedObject(
                tuple(
                    MaskCandidate(
                        np.array(
                            logits[index], np.float32
                        ),  # a copy: the run's whole batch must not stay alive
                        float(ious[index]),
                        stability(logits[index][visible]),
                    )
                    for index in order_of_use(ious, prompt.is_ambiguous and not self._single_first)
                )
            )


def prompt_arrays(
    prompts: Sequence[tuple[ObjectPrompt, int, int]], image_size: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Prompts, each with its picture's width and height, as one batch for the decoder network.

    Returns float32 [B, P, 2] xy in the padded frame with +0.5 added and int64 [B, P] labels; shorter
    rows are filled with points that have no influence.
    """
    rows = [_tokens(prompt) for prompt, _, _ in prompts]
    longest = max((len(row) for row in rows), default=0)
    points = np.zeros((len(rows), longest, 2), np.float32)
    labels = np.full((len(rows), longest), FILLER, np.int64)
    for index, (row, (_, width, height)) in enumerate(zip(rows, prompts, strict=True)):
        framed_width, framed_height = framed_size(width, height, image_size)
        for place, (x, y, label) in enumerate(row):
            labels[index, place] = label
            if label != NOT_A_POINT:
                points[index, place] = x * (framed_width / width), y * (framed_height / height)
    # Added in float32, not before rounding to it: the last bit is visible in the logits.
    points += np.where(labels[..., None] >= 0, np.float32(0.5), np.float32(0))
    return points, labels


def order_of_use(ious: NDArray[np.float32], single_last: bool) -> list[int]:
    """Indices of the decoder's masks, best first; `ious` [M] are its own predictions."""
    by_iou = sorted(range(1, len(ious)), key=lambda index: -float(ious[index]))
    return [*by_iou, 0] if single_last else [0, *by_iou]


def stability(logits: NDArray[np.float32]) -> float:
    """IoU of the masks at logits > +1 and > -1, 0..1; 0 where both are empty."""
    loose = np.count_nonzero(logits > -STABILITY_OFFSET)
    return np.count_nonzero(logits > STABILITY_OFFSET) / loose if loose else 0.0


def _tokens(prompt: ObjectPrompt) -> list[tuple[float, float, int]]:
    taps = [(x, y, label) for (x, y), label in zip(prompt.points, prompt.labels, strict=True)]
    if prompt.box is None:
        return [*taps, (0.0, 0.0, NOT_A_POINT)]
    x0, y0, x1, y1 = prompt.box
    return [*taps, (x0, y0, BOX_TOP_LEFT), (x1, y1, BOX_BOTTOM_RIGHT)]
