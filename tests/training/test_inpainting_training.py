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
from training.inpainting_data import draw_crop, find_photos, random_hole
from training.inpainting_examples import Examples, prepare_examples
from training.inpainting_losses import error_share, imitation_error, lost_detail
from training.inpainting_model import SmoothCorrection
from training.inpainting_quality import Case, gain, gradient_energy, judge, telea

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


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpainting, "CONFIG", TINY)
    phases = (inpainting.Phase(0.5, 64, 2, 6, 1.0), inpainting.Phase(1.0, 96, 2, 4, 0.0))
    monkeypatch.setattr(inpainting, "PHASES", phases)
    monkeypatch.setattr(inpainting, "HELD_OUT", 3)


def options(data: Path, tmp_path: Path, steps: int) -> argparse.Namespace:
    return argparse.Namespace(
        data=data,
        steps=steps,
        out=tmp_path / "out" / "lama.safetensors",
        runs=tmp_path / "runs",
        seed=0,
        evaluate_every=2,
    )


def examples(data: Path, folder: Path, count: int = 4) -> Examples:
    return prepare_examples(find_photos(data), LamaNetwork(TINY).prefill, 64, count, 0, folder)


def test_training_writes_a_checkpoint_that_loads_and_goes_on_where_it_stopped(
    data: Path, tmp_path: Path
) -> None:
    first = options(data, tmp_path, steps=2)
    inpainting.train(first)
    inpainting.train(options(data, tmp_path, steps=6))

    with safe_open(first.out, "pt") as file:
        network = LamaNetwork.load(load_file(first.out), file.metadata())
        assert 0 <= float(file.metadata()["mean_correction_grey_levels"]) < 255
    assert network.config == TINY
    curve = [json.loads(line) for line in (first.runs / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [2, 4, 6]
    assert {"loss", "held_out", "pairs", "holes"} <= curve[-1].keys()
    assert list(first.runs.glob("sheet_*.png"))


def test_an_untrained_network_answers_the_classical_fill(data: Path, tmp_path: Path) -> None:
    trainer = inpainting.Trainer(10, seed=0, device=torch.device("cpu"))
    some = examples(data, tmp_path)
    batch = some.batch(np.arange(4))
    network = trainer.average.network()
    with torch.inference_mode():
        torch.testing.assert_close(network.predict(batch.start, batch.hole), batch.start)
    assert gain(network, some).db == pytest.approx(0, abs=1e-4)


def test_a_written_network_computes_what_was_trained(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SmoothCorrection(TINY).eval()
    torch.nn.init.normal_(model.mix.weight)
    batch = examples(data, tmp_path).batch(np.arange(4))
    with torch.inference_mode():
        trained = model(batch.start, batch.hole)
        written = model.network().predict(batch.start, batch.hole)
    assert (trained - batch.start).abs().max() > 0.02
    torch.testing.assert_close(written, trained, atol=0.01, rtol=0)  # bf16 where that is faster


def test_the_plain_correction_is_learned_from_few_examples(data: Path, tmp_path: Path) -> None:
    trainer = inpainting.Trainer(1000, seed=0, device=torch.device("cpu"))
    some = examples(data, tmp_path, count=2)
    losses = [trainer.learn(some, inpainting.PHASES[0]) for _ in range(100)]
    assert np.mean(losses[-10:]) < 0.97 * np.mean(losses[:10])


def test_examples_are_the_same_for_the_same_seed_and_kept(data: Path, tmp_path: Path) -> None:
    one, two, kept = (examples(data, tmp_path / name) for name in ("one", "two", "one"))
    for field in ("pictures", "starts", "holes"):
        assert np.array_equal(getattr(one, field), getattr(two, field))
        assert np.array_equal(getattr(one, field), getattr(kept, field))
    outside = one.holes == 0
    assert np.array_equal(one.pictures[outside], one.starts[outside])


def test_changed_examples_keep_picture_start_and_hole_together(data: Path, tmp_path: Path) -> None:
    batch = examples(data, tmp_path).batch(np.arange(4), np.random.default_rng(0))
    assert batch.picture.shape == batch.start.shape == (4, 3, 64, 64)
    outside = (batch.hole == 0).expand_as(batch.picture)
    assert torch.equal(batch.picture[outside], batch.start[outside])


def test_held_out_photographs_are_not_learned_from(data: Path) -> None:
    photos = find_photos(data)
    learned, held_out = set(photos.learned().photos), set(photos.held_out().photos)
    assert held_out
    assert not learned & held_out
    assert learned | held_out == set(photos.photos)


def test_holes_are_neither_empty_nor_everything_and_seldom_hide_the_object(data: Path) -> None:
    photos = find_photos(data)
    rng = np.random.default_rng(0)
    shares = [random_hole(photos.shapes, 64, rng).mean() for _ in range(100)]
    assert min(shares) >= 0.02
    assert max(shares) <= 0.45
    picture, hole = draw_crop(photos, 64, rng)
    assert picture.shape == (64, 64, 3)
    assert set(np.unique(hole)) == {0, 1}


def test_the_error_share_is_one_of_the_start_and_nothing_of_the_truth() -> None:
    truth = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 1, 64, 64)
    hole[:, :, 16:48, 16:48] = 1
    smear = torch.where(hole > 0, 0.2, truth)
    assert error_share(smear, truth, hole, smear).tolist() == [1, 1]
    assert error_share(truth, truth, hole, smear).max() < 0.02


def test_a_smear_loses_detail_and_other_colours_do_not() -> None:
    start = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 1, 64, 64)
    hole[:, :, 16:48, 16:48] = 1
    assert lost_detail(start, start, hole).tolist() == [0, 0]
    assert lost_detail(start + 0.2 * hole, start, hole).tolist() == [0, 0]
    assert lost_detail(0.5 * start, start, hole).min() == pytest.approx(0.46, abs=0.01)
    checkerboard = 0.2 * torch.ones(64, 64)
    checkerboard[::2, ::2] = checkerboard[1::2, 1::2] = -0.2
    assert lost_detail(0.5 * start + checkerboard, start, hole).min() > 0.4


def test_imitation_asks_for_less_of_what_is_between_colour_and_detail() -> None:
    hole = torch.zeros(1, 1, 64, 64)
    hole[:, :, 16:48, 16:48] = 1
    wave = 0.2 * torch.sin(torch.arange(64) * 2 * torch.pi / 16).expand(1, 3, 64, 64)
    smooth = torch.full_like(wave, 0.5)
    start = smooth + hole * wave
    assert imitation_error(start, start, hole) == pytest.approx(1, abs=1e-3)
    assert imitation_error(start - 0.5 * hole * wave, start, hole) < 0.7
    assert imitation_error(start + 0.5 * hole * wave, start, hole) > 1.5


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
