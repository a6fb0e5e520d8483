"""What surrounds the networks: frames, batches, the choice of masks, logits at picture size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import (
    PIXEL_MEAN,
    PIXEL_STD,
    PictureEncoder,
    PromptDecoder,
    framed_size,
    order_of_use,
    preprocess,
    prompt_arrays,
    stability,
    upscale_logits,
)
from engine.types import ImageEmbedding, ObjectPrompt, RgbImage

Runtime = Callable[[torch.nn.Module], Callable[..., tuple[NDArray, ...]]]
ONE_TAP = ObjectPrompt(((20.0, 30.0),), (1,))
TWO_TAPS = ObjectPrompt(((20.0, 30.0), (40.0, 10.0)), (1, 0))
BOX = ObjectPrompt(box=(5.0, 6.0, 50.0, 40.0))
BOX_AND_TAP = ObjectPrompt(((20.0, 30.0),), (1,), box=(5.0, 6.0, 50.0, 40.0))


def picture(width: int, height: int, seed: int = 0) -> RgbImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    return RgbImage(pixels)


@given(width=st.integers(1, 8000), height=st.integers(1, 8000))
def test_framed_size_fits_frame_and_keeps_longest_side(width: int, height: int) -> None:
    framed = framed_size(width, height, 1024)
    assert max(framed) == 1024
    assert min(framed) >= 1


def test_framed_size_rounds_half_up() -> None:
    assert framed_size(2048, 1025, 1024) == (1024, 513)  # 512.5; Python's round would give 512


def test_preprocess_normalises_picture_and_pads_with_zeros_right_and_below() -> None:
    pixels = np.full((50, 100, 3), (10, 100, 200), np.uint8)
    frame = preprocess(RgbImage(pixels), 64)
    assert frame.shape == (3, 64, 64) and frame.dtype == np.float32
    colour = (np.array([10, 100, 200], np.float32) - PIXEL_MEAN) / PIXEL_STD
    np.testing.assert_allclose(frame[:, :32], np.broadcast_to(colour[:, None, None], (3, 32, 64)), rtol=1e-5)
    assert not frame[:, 32:].any()


def test_prompts_become_tokens_in_the_frame() -> None:
    prompts = [(prompt, 100, 50) for prompt in (ONE_TAP, TWO_TAPS, BOX, BOX_AND_TAP)]
    points, labels = prompt_arrays(prompts, 200)
    assert labels.tolist() == [[1, -1, -2], [1, 0, -1], [2, 3, -2], [1, 2, 3]]
    assert points[3].tolist() == [[40.5, 60.5], [10.5, 12.5], [100.5, 80.5]]
    assert points[0, 1:].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("prompt", "ambiguous"), [(ONE_TAP, True), (BOX, True), (TWO_TAPS, False), (BOX_AND_TAP, False)]
)
def test_masks_are_ordered_by_use(prompt: ObjectPrompt, ambiguous: bool) -> None:
    ious = np.array([0.99, 0.2, 0.9, 0.5], np.float32)
    assert order_of_use(ious, prompt.is_ambiguous) == ([2, 3, 1, 0] if ambiguous else [0, 2, 3, 1])


def test_stability_is_share_of_mask_that_stays() -> None:
    logits = np.array([[3.0, 0.5], [-0.5, -3.0]], np.float32)
    assert stability(logits) == pytest.approx(1 / 3)
    assert stability(np.full((4, 4), -9.0, np.float32)) == 0.0


@settings(deadline=None, max_examples=25)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_upscaled_logits_are_bilinear_crop_bilinear(width: int, height: int) -> None:
    logits = np.random.default_rng(width * 301 + height).standard_normal((16, 16), np.float32)
    framed_width, framed_height = framed_size(width, height, 64)
    resize = torch.nn.functional.interpolate
    frame = resize(torch.from_numpy(logits)[None, None], (64, 64), mode="bilinear", align_corners=False)
    shown = frame[..., :framed_height, :framed_width]
    reference = resize(shown, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    answer = upscale_logits(logits, width, height, 64)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, reference, atol=1e-4)


def test_pictures_of_several_sizes_encode_together_as_alone(
    eager: Runtime, small_encoder: MobileSamEncoder
) -> None:
    encoder = PictureEncoder(eager(small_encoder), 160)
    images = [picture(90, 60), picture(33, 200, seed=1)]
    together = encoder.encode(images)
    assert encoder.encode([]) == []
    for image, embedding in zip(images, together, strict=True):
        assert (embedding.width, embedding.height) == (image.width, image.height)
        assert embedding.features.dtype == np.float16 and embedding.features.shape == (32, 10, 10)
        (alone,) = encoder.encode([image])
        np.testing.assert_allclose(embedding.features, alone.features, atol=2e-3)


@pytest.mark.parametrize("max_rows", [1, 2, 64])
def test_objects_of_several_pictures_decode_together_as_alone(
    max_rows: int, eager: Runtime, small_decoder: MobileSamDecoder
) -> None:
    rng = np.random.default_rng(0)
    embeddings = [
        ImageEmbedding(rng.standard_normal((32, 10, 10)).astype(np.float16), width, height)
        for width, height in ((100, 50), (60, 80))
    ]
    run = eager(small_decoder)
    requests = [(embeddings[0], [ONE_TAP, BOX_AND_TAP]), (embeddings[1], []), (embeddings[1], [TWO_TAPS])]
    answers = PromptDecoder(run, 160, max_rows).decode(requests)
    assert [len(answer) for answer in answers] == [2, 0, 1]
    for (embedding, prompts), answer in zip(requests, answers, strict=True):
        for prompt, decoded in zip(prompts, answer, strict=True):
            ((alone,),) = PromptDecoder(run, 160).decode([(embedding, [prompt])])
            assert len(decoded.candidates) == 4
            for ours, reference in zip(decoded.candidates, alone.candidates, strict=True):
                np.testing.assert_allclose(ours.logits, reference.logits, atol=1e-3)
                assert ours.score == pytest.approx(reference.score, abs=1e-3)
                assert 0 <= ours.stability <= 1


def test_a_checkpoint_may_trust_its_single_mask_first() -> None:
    def run(*arrays: NDArray) -> tuple[NDArray, ...]:
        logits = np.stack([np.full((8, 8), float(index)) for index in range(4)])
        return np.float32(logits[None]), np.float32([[0.1, 0.2, 0.9, 0.5]])

    embedding = ImageEmbedding(np.zeros((4, 2, 2), np.float16), 8, 8)
    for single_first, order in ((False, [2, 3, 1, 0]), (True, [0, 2, 3, 1])):
        ((decoded,),) = PromptDecoder(run, 32, single_first=single_first).decode([(embedding, [ONE_TAP])])
        assert [candidate.logits[0, 0] for candidate in decoded.candidates] == order


def test_nothing_to_decode_runs_no_network() -> None:
    def refuse(*arrays: NDArray) -> tuple[NDArray, ...]:
        raise AssertionError("the network was run")

    assert PromptDecoder(refuse, 160).decode([]) == []
