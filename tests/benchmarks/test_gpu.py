"""The GPU benchmark, run where there is none: what it prints must be right before a card is lent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import main, networks_of, time_networks
from benchmarks.gpu_path import agreement, whole_path
from engine.checkpoints import BUNDLED_FOLDER
from settings import Settings, read_settings


@pytest.fixture
def settings() -> Settings:
    return read_settings(
        {
            "DEVICE": "cpu",
            "PRECISION": "fp32",
            "MOBILE_SAM_CHECKPOINT": str(BUNDLED_FOLDER / "mobile_sam.safetensors"),
            "LAMA_CHECKPOINT": str(BUNDLED_FOLDER / "lama.safetensors"),
        }
    )


def test_each_variant_is_a_row_beside_the_plain_one(settings: Settings) -> None:
    mobile_sam, lama = settings.mobile_sam_checkpoint, settings.lama_checkpoint
    assert mobile_sam and lama
    networks = networks_of(mobile_sam, lama)[:2]
    section = time_networks(networks, [1, 2], "cpu", compiled=False)
    assert [row[2] for row in section.rows[:3]] == ["eager fp32", "bf16", "bf16, channels last"]
    assert [row[1] for row in section.rows] == [1, 1, 1, 2, 2, 2] * 2
    for row in section.rows:
        milliseconds, rate, apart = row[3], row[4], row[7]
        assert isinstance(milliseconds, float) and isinstance(rate, float) and isinstance(apart, str)
        assert rate == pytest.approx(1000 * int(str(row[1])) / milliseconds)
        assert (float(apart) == 0) == (row[2] == "eager fp32")
    assert [goal.at_least for goal in section.goals] == [1500, 20_000]


def test_the_whole_path_and_its_agreement_are_told(settings: Settings) -> None:
    path = whole_path(settings, runs=1)
    assert [row[0] for row in path.rows] == ["encode", "decode", "refine", "fill 512 px", "composite", "all"]
    same = agreement(settings)
    assert [row[1] for row in same.rows] == [1.0, 0.0]
    assert all(goal.is_met for goal in same.goals)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: the refusal is for machines without")
def test_without_a_gpu_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path)])
    assert "--device cpu" in capsys.readouterr().err
