"""The quality benchmark: its simulated user, its scores, and the whole command on drawn photographs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.quality import main
from benchmarks.removal_quality import judged, known_removals, opencv_fill
from benchmarks.segmentation_quality import KnownObject, boundary_f, grabcut_on, next_tap, tapped
from engine.checkpoints import BUNDLED_FOLDER
from engine.types import ObjectPrompt, RgbImage


def disc(height: int, width: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def known(truth: NDArray[np.bool_], counted: NDArray[np.bool_] | None = None) -> KnownObject:
    image = RgbImage(np.where(truth[..., None], (220, 60, 40), (40, 90, 60)).astype(np.uint8))
    ys, xs = np.nonzero(truth)
    seen = np.ones_like(truth) if counted is None else counted
    return KnownObject("one", "drawn", "core", image, truth, seen, (float(xs.mean()), float(ys.mean())))


def test_second_tap_is_in_the_middle_of_what_was_missed() -> None:
    truth = disc(80, 120, 30, 40, 15) | disc(80, 120, 90, 40, 12)
    (x, y), label = next_tap(disc(80, 120, 30, 40, 15), known(truth))
    assert label == 1 and abs(x - 90) < 2 and abs(y - 40) < 2


def test_second_tap_is_beside_the_object_where_the_mask_is_too_much() -> None:
    truth = disc(80, 120, 30, 40, 15)
    (x, y), label = next_tap(truth | disc(80, 120, 90, 40, 12), known(truth))
    assert label == 0 and abs(x - 90) < 2 and abs(y - 40) < 2


def test_pixels_of_unknown_truth_draw_no_tap_and_cost_nothing() -> None:
    truth, extra = disc(80, 120, 30, 40, 15), disc(80, 120, 90, 40, 12)
    item = known(truth, counted=~extra)
    prompts: list[ObjectPrompt] = []

    def segment(prompt: ObjectPrompt) -> NDArray[np.bool_]:
        prompts.append(prompt)
        return truth | extra

    scores = tapped(item, segment)
    assert [score.iou for score in scores] == [1.0, 1.0, 1.0]
    assert [len(prompt.points) for prompt in prompts] == [1, 2, 3]


def test_boundary_f_falls_as_the_outline_moves_away() -> None:
    truth = disc(200, 200, 100, 100, 50)
    assert boundary_f(truth, truth) == 1.0
    assert boundary_f(disc(200, 200, 101, 100, 50), truth) > 0.95
    assert boundary_f(disc(200, 200, 100, 100, 70), truth) < 0.05
    assert boundary_f(np.zeros_like(truth), truth) == 0.0


def test_grabcut_cuts_out_what_differs_in_colour() -> None:
    item = known(disc(120, 160, 80, 60, 30))
    assert tapped(item, grabcut_on(item.image), taps=1)[0].iou > 0.9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two objects to cut out and two to remove, one of them with the picture behind it."""
    rng = np.random.default_rng(0)
    ground = np.clip(rng.normal(120, 12, (120, 160, 3)), 0, 255).astype(np.uint8)
    mask = disc(120, 160, 80, 60, 22)
    stripes = np.where(np.arange(160)[None, :, None] % 8 < 4, (30, 40, 230), (60, 90, 250))
    picture = np.where(mask[..., None], stripes, ground).astype(np.uint8)
    for name in ("segment", "removal"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "mask.png"), mask.astype(np.uint8) * 255)
        cv2.imwrite(str(tmp_path / name / "picture.png"), picture)
    cv2.imwrite(str(tmp_path / "removal/truth.png"), ground)
    files = {"image": "picture.png", "mask": "mask.png"}
    objects = [{**files, "name": n, "click": [80, 60], "subset": "a", "tier": "core"} for n in "xy"]
    items = [
        {**files, "name": "x", "kind": "pair", "gt": "truth.png"},
        {**files, "name": "y", "kind": "open"},
    ]
    (tmp_path / "segment/index.json").write_text(json.dumps({"objects": objects}))
    (tmp_path / "removal/index.json").write_text(json.dumps({"items": items}))
    return tmp_path


def test_the_true_picture_has_the_best_scores_and_the_object_left_in_place_the_worst(folder: Path) -> None:
    case = next(known_removals(folder / "removal", 1024))
    assert case.truth is not None
    best, worst = judged(case, case.truth), judged(case, case.image.pixels)
    assert best.psnr_db == 50 and best.ssim == pytest.approx(1)
    assert best.energy == pytest.approx(best.true_energy)
    assert abs(best.ghost) < 0.2 and best.change > 50
    assert worst.ghost == pytest.approx(1) and worst.change == 0 and worst.psnr_db < 12
    smear = judged(case, opencv_fill(cv2.INPAINT_TELEA)(case.image, case.item))
    assert smear.energy < 0.3 * smear.true_energy and worst.psnr_db < smear.psnr_db < 50


def test_pictures_are_judged_at_the_size_that_the_service_scales_them_to(folder: Path) -> None:
    whole, half = (next(known_removals(folder / "removal", side)) for side in (1024, 80))
    assert whole.truth is not None and half.truth is not None
    assert (half.image.width, half.image.height) == (whole.image.width // 2, whole.image.height // 2)
    assert half.truth.shape == half.image.pixels.shape
    assert half.mask.mean() == pytest.approx(whole.mask.mean(), rel=0.1)


def test_one_command_prints_both_tables_and_writes_every_score(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILE_SAM_CHECKPOINT", str(BUNDLED_FOLDER / "mobile_sam.safetensors"))
    monkeypatch.setenv("LAMA_CHECKPOINT", str(BUNDLED_FOLDER / "lama.safetensors"))
    monkeypatch.setenv("PRECISION", "fp32")
    main([str(folder), "--json", str(folder / "scores.json")])
    printed = capsys.readouterr().out
    for expected in (
        "| as served",
        "| GrabCut",
        "| Telea",
        "| Navier-Stokes",
        "a (2)",
        "open, truth unknown (1)",
    ):
        assert expected in printed
    segmentation, removal = json.loads((folder / "scores.json").read_text())["sections"]
    assert len(segmentation["values"]["as served"]["x"]) == 3
    assert removal["values"]["as served"]["x"]["psnr_db"] > 15


def test_a_folder_without_answers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "neither segment/index.json nor removal/index.json" in capsys.readouterr().err
