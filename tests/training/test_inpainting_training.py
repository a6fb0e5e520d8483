"""The inpainting recipe on a folder of a few drawn pictures: it learns, continues, and writes what loads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file

from engine.lama.network import LamaConfig, LamaNetwork, Output, Prefill
from training import inpainting
from training.inpainting_data import draw_batch, pack_photos, random_hole
from training.inpainting_losses import (
    PatchDiscriminator,
    adversarial_losses,
    colour_loss,
    detail_loss,
    discriminator_loss,
)
from training.inpainting_quality import Case, gradient_energy, judge, telea

TINY = LamaConfig(
    width=4,
    downsamplings=3,
    blocks=1,
    local_channels=4,
    global_channels=12,
    prefill=Prefill.SHIFT,
    output=Output.RESIDUAL,
)


def drawn_picture(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    picture = np.full((120, 160, 3), rng.integers(60, 200, 3), np.uint8)
    picture += rng.integers(0, 40, picture.shape, np.uint8)
    cv2.circle(picture, (80, 60), 25, [int(value) for value in rng.integers(0, 255, 3)], -1)
    return picture


@pytest.fixture
def data(tmp_path: Path) -> Path:
    mask = cv2.circle(np.zeros((120, 160), np.uint8), (80, 60), 25, 255, -1)
    folder = tmp_path / "data"
    removal = folder / "eval/removal"
    removal.mkdir(parents=True)
    (folder / "train").mkdir()
    lines = []
    for seed in range(4):
        cv2.imwrite(str(folder / f"train/{seed}.png"), drawn_picture(seed))
        cv2.imwrite(str(folder / f"train/{seed}_mask.png"), mask)
        masks = [f"train/{seed}_mask.png"]
        lines.append(json.dumps({"image": f"train/{seed}.png", "masks": masks, "kind": "binary"}))
    (folder / "train/manifest.jsonl").write_text("\n".join(lines))
    items = []
    for seed, kind in ((5, "pair_real"), (6, "hole_synthetic")):
        cv2.imwrite(str(removal / f"{seed}.png"), drawn_picture(seed))
        cv2.imwrite(str(removal / "mask.png"), mask)
        items.append({"image": f"{seed}.png", "gt": f"{seed}.png", "mask": "mask.png", "kind": kind})
    (removal / "index.json").write_text(json.dumps({"items": items}))
    return folder


def options(data: Path, tmp_path: Path, minutes: float) -> argparse.Namespace:
    return argparse.Namespace(
        data=data,
        minutes=minutes,
        out=tmp_path / "out" / "lama.safetensors",
        runs=tmp_path / "runs",
        seed=0,
        evaluate_every=1,
    )


def test_training_writes_a_checkpoint_that_loads_and_goes_on_where_it_stopped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inpainting, "CONFIG", TINY)
    phases = (inpainting.Phase(0.5, 64, 2, 1e-3, 0.0), inpainting.Phase(1.0, 64, 2, 1e-3, 0.05))
    monkeypatch.setattr(inpainting, "PHASES", phases)
    first = options(data, tmp_path, minutes=0.02)
    inpainting.train(first)
    (spent,) = (json.loads(line) for line in (first.runs / "curve.jsonl").read_text().splitlines()[-1:])
    inpainting.train(options(data, tmp_path, minutes=spent["elapsed_s"] / 60 + 0.04))

    with safe_open(first.out, "pt") as file:
        network = LamaNetwork.load(load_file(first.out), file.metadata())
        assert 0 <= float(file.metadata()["mean_correction_grey_levels"]) < 255
    assert network.config == TINY
    curve = [json.loads(line) for line in (first.runs / "curve.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in curve]
    assert steps == sorted(steps)
    assert curve[-1]["elapsed_s"] > curve[0]["elapsed_s"]
    assert {"colour", "detail", "realism", "features", "discriminator", "pairs", "holes"} <= curve[-1].keys()
    assert list(first.runs.glob("sheet_*.png"))


def test_an_untrained_network_answers_the_classical_fill(data: Path, tmp_path: Path) -> None:
    photos = pack_photos(data, tmp_path / "cache")
    trainer = inpainting.Trainer(photos, seed=0, device=torch.device("cpu"))
    batch = draw_batch(photos, 64, 2, np.random.default_rng(0))
    network = trainer.network.eval()
    with torch.inference_mode():
        start = network.prefill(batch.picture, batch.hole)
        torch.testing.assert_close(network.predict(start, batch.hole), start)


def test_batches_are_the_same_for_the_same_seed(data: Path, tmp_path: Path) -> None:
    photos = pack_photos(data, tmp_path / "cache")
    again = pack_photos(data, tmp_path / "cache")
    one, two = (draw_batch(p, 64, 3, np.random.default_rng(7)) for p in (photos, again))
    assert torch.equal(one.picture, two.picture)
    assert torch.equal(one.hole, two.hole)
    assert one.picture.shape == (3, 3, 64, 64)


def test_random_holes_are_neither_empty_nor_everything() -> None:
    shapes = np.ones((1, 96, 96), np.uint8)
    rng = np.random.default_rng(0)
    shares = [random_hole(shapes, 64, rng).mean() for _ in range(100)]
    assert min(shares) >= 0.02
    assert max(shares) <= 0.4


def test_losses_of_the_truth_are_zero_and_of_a_smear_are_not() -> None:
    truth = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 1, 64, 64)
    hole[:, :, 16:48, 16:48] = 1
    smear = torch.where(hole > 0, 0.2, truth)
    assert colour_loss(truth, truth, hole, smear) < 0.02
    assert 0.9 < colour_loss(smear, truth, hole, smear) < 1.0
    assert detail_loss(truth, truth, hole) < 1e-6
    assert detail_loss(smear, truth, hole) > 0.5


def test_the_discriminator_learns_to_tell_a_smear_from_the_truth() -> None:
    torch.manual_seed(0)
    truth = torch.rand(4, 3, 64, 64)
    hole = torch.zeros(4, 1, 64, 64)
    hole[:, :, 16:48, 16:48] = 1
    smear = torch.where(hole > 0, 0.5, truth)
    discriminator = PatchDiscriminator(width=8)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    before = discriminator_loss(discriminator, smear, truth, hole).item()
    for _ in range(40):
        optimizer.zero_grad()
        discriminator_loss(discriminator, smear, truth, hole).backward()
        optimizer.step()
    assert discriminator_loss(discriminator, smear, truth, hole).item() < 0.5 * before
    losses = adversarial_losses(discriminator, smear, truth, hole)
    assert losses.realism > adversarial_losses(discriminator, truth, truth, hole).realism
    assert losses.features > 0


def test_judging_the_truth_gives_full_marks_and_telea_smears() -> None:
    truth = (drawn_picture(1) / 255).astype(np.float32)
    mask = np.zeros(truth.shape[:2], bool)
    mask[20:40, 20:60] = True
    cases = [Case(truth, truth, mask, is_real_pair) for is_real_pair in (True, False)]
    table, answers = judge(cases, lambda picture, hole: picture)
    assert table["pairs"].psnr_db == pytest.approx(50)
    assert table["holes"].gradient_ratio == pytest.approx(1)
    assert len(answers) == 2
    smeared, _ = judge(cases, telea)
    assert smeared["holes"].gradient_ratio < 0.3
    assert gradient_energy(np.zeros_like(truth), mask) == 0
