"""The precision that networks start in: as told, or the fast one where it loses nothing that one sees."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from deployments import precision as choice
from deployments.networks import load_decoder, load_encoder, load_inpainter
from deployments.precision import WORTH, load_in_best_precision
from engine.precision_guard import LEAST_MASK_IOU, MOST_FILL_DIFFERENCE, processor_name
from engine.runtime import Backend, Runtime, RuntimeOptions, build_runtime
from engine.types import Device, Precision
from settings import Settings
from tests.engine.sources import source_of
from trials.service import CACHE


class Builder:
    """Makes a small real network, and counts."""

    def __init__(self, backend: Backend = Backend.OPENVINO) -> None:
        self.built: list[Precision] = []
        self._backend = backend

    def __call__(self, precision: Precision) -> tuple[Precision, Runtime]:
        self.built.append(precision)
        options = RuntimeOptions(device=Device.CPU, backend=self._backend, precision=precision, threads=1)
        source = source_of(torch.nn.Linear(2, 2), (np.zeros((2, 2), np.float32),), ((0,),), "scale")
        return precision, build_runtime(source, options)


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    # The choice is tried on machines without bf16, too; OpenVINO then computes in fp32 whatever is asked.
    monkeypatch.setattr(choice, "processor_name", lambda: "a processor with bf16")


FASTER = {Precision.FP32: 0.02, Precision.BF16: 0.01}  # seconds of one run
SLOWER = {Precision.FP32: 0.02, Precision.BF16: 0.03}


def choose(
    folder: Path,
    build: Builder,
    loss: float,
    wanted: Precision = Precision.AUTO,
    seconds: dict[Precision, float] = FASTER,
) -> Precision:
    def work(network: Precision) -> None:
        ends = time.process_time() + seconds[network]
        while time.process_time() < ends:
            pass

    settings = Settings(cache_dir=folder, precision=wanted)
    chosen, run = load_in_best_precision(settings, "scale 0", build, lambda *_: loss, 0.01, work)
    assert run.precision is chosen
    return chosen


@pytest.mark.parametrize("wanted", [Precision.FP32, Precision.BF16])
def test_a_precision_that_is_named_is_taken_untried(wanted: Precision, tmp_path: Path) -> None:
    build = Builder()
    assert choose(tmp_path, build, 1.0, wanted) is wanted
    assert build.built == [wanted]


@pytest.mark.usefixtures("with_bf16")
@pytest.mark.parametrize(("loss", "expected"), [(0.009, Precision.BF16), (0.011, Precision.FP32)])
def test_auto_takes_bf16_only_where_little_is_lost_and_remembers(
    loss: float, expected: Precision, tmp_path: Path
) -> None:
    first, second = Builder(), Builder()
    assert choose(tmp_path, first, loss) is expected
    assert choose(tmp_path, second, float("nan")) is expected
    assert (len(first.built), second.built) == (2, [expected])


@pytest.mark.usefixtures("with_bf16")
def test_auto_stays_in_fp32_where_bf16_is_slower_and_remembers(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), 0.0, seconds=SLOWER) is Precision.FP32
    assert choose(tmp_path, Builder(), 0.0, seconds={}) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
def test_a_loss_that_is_no_number_is_too_much(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), float("nan")) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"precision": "bf16"}', '{"precision": "fp8", "share of time": 1}']
)
def test_a_damaged_verdict_is_made_again(text: str, tmp_path: Path) -> None:
    choose(tmp_path, Builder(), 0.0)
    (verdict,) = (tmp_path / "precision").iterdir()
    verdict.write_text(text)
    assert choose(tmp_path, Builder(), 1.0) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
def test_without_openvino_nothing_is_tried(tmp_path: Path) -> None:
    build = Builder(Backend.TORCH)
    assert choose(tmp_path, build, 0.0) is Precision.FP32
    assert build.built == [Precision.FP32]


@pytest.mark.usefixtures("with_bf16")
def test_what_openvino_bears_is_not_taken_for_torchs(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), 0.0) is Precision.BF16
    assert choose(tmp_path, Builder(Backend.TORCH), 0.0) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
def test_what_a_processor_bears_is_not_taken_for_a_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose(tmp_path, Builder(), 0.0) is Precision.BF16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    build = Builder()
    assert choose(tmp_path, build, 0.0) is Precision.FP32
    assert build.built == [Precision.FP32]


def test_a_processor_without_bf16_stays_in_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "processor_name", lambda: None)
    build = Builder()
    assert choose(tmp_path, build, 0.0) is Precision.FP32
    assert build.built == [Precision.FP32]


def test_the_bundled_networks_bear_bf16_and_run_in_it_where_it_is_faster(tmp_path: Path) -> None:
    if processor_name() is None:
        pytest.skip("this processor has no bf16; the test runs where it has")
    converted = CACHE / "converted"  # shared with the service of the tests, so that it is done once
    converted.mkdir(parents=True, exist_ok=True)
    (tmp_path / "converted").symlink_to(converted)
    settings = Settings(cache_dir=tmp_path, checkpoint_download=False, device=Device.CPU)
    chosen = {load(settings).description["precision"] for load in (load_encoder, load_inpainter)}
    verdicts = [json.loads(path.read_text()) for path in (tmp_path / "precision").iterdir()]
    bounds = {"MobileSAM": 1 - LEAST_MASK_IOU, "LaMa": MOST_FILL_DIFFERENCE}
    assert len(verdicts) == 2
    for verdict in verdicts:
        assert verdict["loss"] <= bounds[verdict["network"].split()[0]]
        assert verdict["precision"] == ("bf16" if verdict["share of time"] <= WORTH else "fp32")
    assert chosen == {verdict["precision"] for verdict in verdicts}
    assert load_decoder(settings).description["precision"] == "fp32"
