"""Examples, losses and scores of the segmentation training, on drawn pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from training.segmentation_data import SegmentationSampler, correction, draw_prompt
from training.segmentation_losses import segmentation_loss, true_iou
from training.segmentation_model import BUNDLED, MobileSamPair, save_checkpoint
from training.segmentation_pack import open_pack, pack_photos
from training.segmentation_scenes import FIRST_FOREIGN, draw_scene, mosaic, paste
from training.segmentation_scores import mean_scores, segment_held_out
from training.segmentation_trainer import Course, Trainer

WHOLLY = torch.ones(1)  # weight of the single mask


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine threads that wait for each other make small networks many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def disc(side: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:side, :side]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four photographs of a bright disc, two as binary masks and two as label maps, and two to judge."""
    rows, objects = [], []
    for folder in ("train/images", "train/masks", "eval/segment/images", "eval/segment/masks"):
        (tmp_path / folder).mkdir(parents=True)
    for index in range(6):
        mask = disc(120, 40 + 6 * index, 60, 20)[:90]
        image = np.where(mask[..., None], (40, 200, 230), (90, 60, 20)).astype(np.uint8)
        where = "train" if index < 4 else "eval/segment"
        cv2.imwrite(str(tmp_path / where / f"images/{index}.png"), image)
        values = 255 if index < 2 or index >= 4 else 3
        cv2.imwrite(str(tmp_path / where / f"masks/{index}.png"), mask.astype(np.uint8) * values)
        if index < 4:
            kind, subset = ("binary", "ecssd") if index < 2 else ("labelmap", "bsds500")
            rows.append(
                {
                    "image": f"train/images/{index}.png",
                    "masks": [f"train/masks/{index}.png"],
                    "kind": kind,
                    "subset": subset,
                }
            )
        else:
            objects.append(
                {
                    "name": str(index),
                    "image": f"images/{index}.png",
                    "mask": f"masks/{index}.png",
                    "click": [40 + 6 * index, 60],
                    "subset": "drawn",
                    "tier": "core",
                }
            )
    (tmp_path / "train/manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "eval/segment/index.json").write_text(json.dumps({"objects": objects}))
    return tmp_path


@pytest.mark.parametrize("seed", range(40))
def test_drawn_prompt_means_its_object(seed: int) -> None:
    mask = disc(128, 50, 70, 25)
    for x, y, label in draw_prompt(mask, np.random.default_rng(seed)):
        if label in (0, 1):
            assert mask[int(y), int(x)] == bool(label)
        elif label == 2:
            assert abs(x - 25) < 10 and abs(y - 45) < 10
        elif label == 3:
            assert abs(x - 75) < 10 and abs(y - 95) < 10


def test_correction_taps_the_middle_of_the_largest_error() -> None:
    error = disc(32, 20, 10, 6) | disc(32, 5, 25, 3)
    assert correction(error, 1) == (82.0, 42.0, 1)


def test_batch_shows_each_object_under_its_tap(data: Path) -> None:
    pack_photos(data, data / "pack.npz")
    photos = open_pack(data / "pack.npz")
    assert [photo.subset for photo in photos] == ["ecssd", "ecssd", "bsds500", "bsds500"]
    batch = SegmentationSampler(photos, seed=0).batch(pictures=4, objects=3, side=64)
    assert batch.pixels.shape == (4, 3, 64, 64) and batch.targets.shape == (12, 16, 16)
    for row in range(12):
        point, label = batch.points[row, 0], batch.labels[row, 0]
        if label == 1:
            neighbourhood = batch.targets[row, int(point[1] // 4), int(point[0] // 4)]
            assert neighbourhood > 0
        assert bool(batch.ambiguous[row]) == (int((batch.labels[row] != -2).sum()) == 2)


def test_batches_are_the_same_for_the_same_seed(data: Path) -> None:
    pack_photos(data, data / "pack.npz")
    first, second = (SegmentationSampler(open_pack(data / "pack.npz"), 7).batch(2, 2, 64) for _ in range(2))
    assert torch.equal(first.pixels, second.pixels) and torch.equal(first.points, second.points)


@pytest.mark.parametrize(("subset", "of_a_part"), [("ccp", 0.0), ("bsds500", 0.5), ("ecssd", 1.0)])
def test_only_other_masks_answer_wholly_to_one_tap_on_a_part(
    data: Path, subset: str, of_a_part: float
) -> None:
    pack_photos(data, data / "pack.npz")
    photos = [replace(photo, subset=subset) for photo in open_pack(data / "pack.npz")]
    batch = SegmentationSampler(photos, seed=0).batch(pictures=24, objects=4, side=64)
    assert {round(weight, 3) for weight in batch.single_weight.tolist()} == {of_a_part, 1.0}
    of_one_tap = batch.ambiguous & (batch.labels[:, 0] == 1)
    assert (batch.single_weight[~of_one_tap] == 1).all()


def test_loss_asks_of_the_single_mask_what_its_weight_says() -> None:
    targets = torch.from_numpy(disc(16, 8, 8, 5)).float()[None]
    right = 8 * targets - 4
    first_wrong = torch.stack([-right, right, right, right], dim=1)
    ious = true_iou(first_wrong, targets)
    losses = [
        float(segmentation_loss(first_wrong, ious, targets, torch.tensor([True]), torch.tensor([weight])))
        for weight in (0.0, 1.0)
    ]
    assert losses[0] < 0.3 < losses[1]


def test_loss_prefers_the_right_mask() -> None:
    targets = torch.from_numpy(disc(16, 8, 8, 5)).float()[None]
    right = (8 * targets - 4)[:, None].expand(1, 4, 16, 16)
    ambiguous = torch.tensor([True])
    good = segmentation_loss(right, true_iou(right, targets), targets, ambiguous, WHOLLY)
    bad = segmentation_loss(-right, true_iou(-right, targets), targets, ambiguous, WHOLLY)
    assert true_iou(right, targets).tolist() == [[1.0] * 4]
    assert float(good) < 0.3 < float(bad)


def test_one_good_mask_suffices_for_an_ambiguous_prompt() -> None:
    targets = torch.from_numpy(disc(16, 8, 8, 5)).float()[None]
    right = 8 * targets - 4
    logits = torch.stack([right, -right, right, -right], dim=1)
    ious = true_iou(logits, targets)
    loss = segmentation_loss(logits, ious, targets, torch.tensor([True]), WHOLLY)
    none = torch.stack([right, -right, -right, -right], dim=1)
    worse = segmentation_loss(none, true_iou(none, targets), targets, torch.tensor([True]), WHOLLY)
    assert float(loss) < 0.6 * float(worse)


def test_saved_checkpoint_loads_and_is_scored(data: Path) -> None:
    torch.manual_seed(0)
    pair = MobileSamPair(BUNDLED).eval()
    save_checkpoint(pair, 64, data / "tiny.safetensors", {"name": "a test"})
    with safe_open(data / "tiny.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told = {"image_size": "64", "num_heads": "4", "first_mask": "single", "closer_look": "1.25"}
    assert metadata == {**told, "name": "a test"}
    assert (data / "tiny.safetensors").stat().st_size < 6e6
    encoder = MobileSamEncoder.from_tensors(tensors, metadata)
    decoder = MobileSamDecoder.from_tensors(tensors, metadata)
    objects = segment_held_out(encoder, decoder, data / "eval/segment", encoder.config.image_size)
    scores = mean_scores(objects)
    assert set(scores) == {"all", "best candidate", "core", "drawn"}
    assert 0 <= scores["all"] <= scores["best candidate"] <= 1


def test_weights_with_smaller_windows_answer_the_same_on_pictures_that_these_hold(data: Path) -> None:
    torch.manual_seed(0)
    first, second, third = BUNDLED.encoder.stages
    stages = first, replace(second, window=4), replace(third, window=4)
    smaller = MobileSamPair(replace(BUNDLED, encoder=replace(BUNDLED.encoder, stages=stages))).eval()
    for name, value in smaller.named_parameters():
        if name.endswith("attention_biases"):
            torch.nn.init.normal_(value)
    save_checkpoint(smaller, 64, data / "smaller.safetensors", {})
    larger = MobileSamPair(BUNDLED).eval()
    larger.take_weights(data / "smaller.safetensors")
    pixels = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(larger.encoder(pixels), smaller.encoder(pixels), rtol=0.02, atol=0.02)
        farthest = larger.encoder.state_dict()["image_encoder.layers.3.blocks.0.attn.attention_biases"]
    assert farthest.reshape(5, 20, 20)[:, 3:, 3:].std(dim=(1, 2)).max() == 0


def test_interrupted_training_goes_on_where_it_was_saved(data: Path) -> None:
    pack_photos(data, data / "pack.npz")
    batch = SegmentationSampler(open_pack(data / "pack.npz"), 0).batch(pictures=2, objects=2, side=64)
    course = Course(steps=60, seed=0)
    straight = Trainer(course)
    straight.train_step(batch)
    straight.save(data / "state.pt")
    resumed = Trainer(course)
    resumed.resume(data / "state.pt")
    assert resumed.step == 1
    assert straight.train_step(batch) == pytest.approx(resumed.train_step(batch), rel=1e-3)
    for name, value in straight.average.state_dict().items():
        torch.testing.assert_close(resumed.average.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def run_training(data: Path, out: Path, *options: str) -> None:
    command = [sys.executable, "-m", "training.segmentation", "--data", str(data), "--out", str(out)]
    sizes = ["--pictures", "2", "--objects", "2", "--evaluate-steps", "1", "--run", str(data / out.stem)]
    done = subprocess.run([*command, *sizes, *options], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_train_as_one_and_write_a_checkpoint(data: Path) -> None:
    out = data / "out.safetensors"
    run_training(data, out, "--processes", "2", "--steps", "2")
    with safe_open(out, "pt") as file:
        history = file.metadata()["training"]
    assert "from scratch: 2 steps of 4 pictures" in history
    curve = [json.loads(line) for line in (data / "out/curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [1, 2]
    assert (data / "out/sheet.png").stat().st_size > 0
    onward = data / "onward.safetensors"
    run_training(data, onward, "--processes", "1", "--steps", "1", "--start", str(out))
    with safe_open(onward, "pt") as file:
        assert file.metadata()["training"].startswith(f"{history}; onward: 1 steps of 2 pictures")


@pytest.mark.parametrize("seed", range(8))
def test_drawn_scene_shows_what_its_labels_say(seed: int) -> None:
    image, labels = draw_scene(96, np.random.default_rng(seed))
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8 and labels.shape == (96, 96)
    assert labels.any() and image.std() > 1


def test_pasted_object_is_where_its_label_is() -> None:
    ground, nothing = np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), np.uint8)
    source = np.full((60, 60, 3), 200, np.uint8)
    for seed in range(20):
        image, labels = paste(ground, nothing, source, disc(60, 30, 30, 15), np.random.default_rng(seed))
        bright = image[..., 0] > 75
        assert np.count_nonzero(bright ^ (labels > 0)) <= 0.15 * max(np.count_nonzero(labels), 40)
    assert not ground.any() and not nothing.any()


@pytest.mark.parametrize("seed", range(4))
def test_tiles_of_a_mosaic_keep_their_objects_apart(seed: int) -> None:
    def picture(brightness: int, label: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        mask = disc(160, 70, 60, 30)[:, :140]
        image = np.where(mask[..., None], brightness, 0).astype(np.uint8).repeat(3, axis=2)
        return image, np.where(mask, label, 0).astype(np.uint8)

    others = [picture(100, 1), picture(160, 7), picture(220, 99)]
    canvas, labels = mosaic(*picture(40, 5), others, np.random.default_rng(seed))
    assert canvas.shape == (160, 140, 3) and labels.shape == (160, 140)
    found = sorted(set(labels.ravel().tolist()) - {0})
    assert len(found) == 4 and found[0] == 5 and found[1] > FIRST_FOREIGN
    for value, brightness in zip(found, (40, 100, 160, 220), strict=True):
        assert np.median(canvas[labels == value]) == brightness
        assert np.count_nonzero(labels == value) == pytest.approx(np.pi * 15**2, rel=0.1)


def test_a_picture_too_small_for_tiles_stays_as_it_is() -> None:
    image, labels = np.zeros((100, 300, 3), np.uint8), np.zeros((100, 300), np.uint8)
    same, same_labels = mosaic(image, labels, [(image, labels)] * 3, np.random.default_rng(0))
    assert same is image and same_labels is labels
