"""The precision that networks start in: as told, or the fast one where it loses nothing that one sees."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deployments import precision as choice
from deployments.networks import load_decoder, load_encoder, load_inpainter
from deployments.precision import WORTH, load_in_best_precision
from engine.precision_guard import LEAST_MASK_IOU, MOST_FILL_DIFFERENCE, known_to_processor
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
        example = (np.zeros((2, 2), np.float32),)
        source = source_of(torch.nn.Linear(2, 2), example, ((0,),), "scale")
        return precision, build_runtime(replace(source, calibration=lambda: [example]), options)


def say_processor_knows(monkeypatch: pytest.MonkeyPatch, *precisions: Precision) -> None:
    # The choice is tried on machines without bf16, too; OpenVINO then computes in fp32 whatever is asked.
    monkeypatch.setattr(choice, "known_to_processor", lambda: ("a processor", frozenset(precisions)))


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    say_processor_knows(monkeypatch, Precision.BF16)


# Seconds of one run.
FASTER = {Precision.FP32: 0.04, Precision.BF16: 0.02, Precision.INT8: 0.01, Precision.INT8_BF16: 0.005}
SLOWER = {**dict.fromkeys(FASTER, 0.06), Precision.FP32: 0.04}
NONE = dict.fromkeys(FASTER, 0.0)


def choose(
    folder: Path,
    build: Builder,
    loss: float | dict[Precision, float],
    wanted: Precision = Precision.AUTO,
    seconds: dict[Precision, float] = FASTER,
    offers: tuple[Precision, ...] = (Precision.BF16,),
) -> Precision:
    def work(network: Precision) -> None:
        ends = time.process_time() + seconds[network]
        while time.process_time() < ends:
            pass

    def lost(exact: Precision, fast: Precision) -> float:
        assert exact is Precision.FP32
        return loss[fast] if isinstance(loss, dict) else loss

    settings = Settings(cache_dir=folder, precision=wanted)
    chosen, run = load_in_best_precision(settings, "scale 0", offers, build, lost, 0.01, work)
    assert run.precision is chosen
    return chosen


@pytest.mark.parametrize("wanted", [Precision.FP32, Precision.BF16])
def test_a_precision_that_is_named_is_taken_untried(wanted: Precision, tmp_path: Path) -> None:
    build = Builder()
    assert choose(tmp_path, build, 1.0, wanted) is wanted
    assert build.built == [wanted]


def test_a_precision_that_a_network_does_not_offer_leaves_it_in_fp32(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), 0.0, Precision.INT8) is Precision.FP32
    assert choose(tmp_path, Builder(), 0.0, Precision.INT8_BF16) is Precision.BF16


BOTH = (Precision.BF16, Precision.INT8)
ALL = (*BOTH, Precision.INT8_BF16)


@pytest.mark.parametrize(
    ("has", "loss", "seconds", "expected"),
    [
        (BOTH, NONE, FASTER, Precision.INT8),
        (BOTH, {**NONE, Precision.INT8: 0.011}, FASTER, Precision.BF16),
        (BOTH, NONE, {**FASTER, Precision.BF16: 0.002}, Precision.BF16),
        (BOTH, NONE, SLOWER, Precision.FP32),
        (ALL, NONE, FASTER, Precision.INT8_BF16),
        (ALL, {**NONE, Precision.INT8_BF16: 0.011}, FASTER, Precision.INT8),
        ((Precision.INT8,), NONE, FASTER, Precision.INT8),
        ((Precision.BF16,), NONE, FASTER, Precision.BF16),
    ],
)
def test_auto_takes_the_fastest_of_those_that_lose_little_and_remembers(
    has: tuple[Precision, ...],
    loss: dict[Precision, float],
    seconds: dict[Precision, float],
    expected: Precision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say_processor_knows(monkeypatch, *has)
    again = Builder()
    assert choose(tmp_path, Builder(), loss, seconds=seconds, offers=ALL) is expected
    assert choose(tmp_path, again, {}, seconds={}, offers=ALL) is expected
    assert again.built == [expected]


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
def test_what_other_code_bore_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(tmp_path, Builder(), 0.0) is Precision.BF16
    monkeypatch.setattr(choice, "digest_of_code", lambda *places: "of another version")
    assert choose(tmp_path, Builder(), 0.011) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
def test_auto_stays_in_fp32_where_bf16_is_slower_and_remembers(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), 0.0, seconds=SLOWER) is Precision.FP32
    assert choose(tmp_path, Builder(), 0.0, seconds={}) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
def test_a_loss_that_is_no_number_is_too_much(tmp_path: Path) -> None:
    assert choose(tmp_path, Builder(), float("nan")) is Precision.FP32


@pytest.mark.usefixtures("with_bf16")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"precision": ["bf16"]}', '{"precision": "auto"}', '{"precision": "fp8"}']
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
    say_processor_knows(monkeypatch)
    build = Builder()
    assert choose(tmp_path, build, 0.0) is Precision.FP32
    assert build.built == [Precision.FP32]


def test_the_bundled_networks_run_in_the_fastest_that_they_bear(tmp_path: Path) -> None:
    _, has = known_to_processor()
    if not has:
        pytest.skip("this processor has neither bf16 nor 8 bits; the test runs where it has one")
    converted = CACHE / "converted"  # shared with the service of the tests, so that it is done once
    converted.mkdir(parents=True, exist_ok=True)
    (tmp_path / "converted").symlink_to(converted)
    settings = Settings(cache_dir=tmp_path, checkpoint_download=False, device=Device.CPU)
    loaded = {
        "MobileSAM": load_encoder(settings).description["precision"],
        "LaMa": load_inpainter(settings).description["precision"],
    }
    offers = {"MobileSAM": {"bf16"}, "LaMa": {"bf16", "int8", "int8+bf16"}}
    bear = {"MobileSAM": {"bf16"}, "LaMa": {"int8"}}  # LaMa's classical fill copies from elsewhere in bf16
    bounds = {"MobileSAM": 1 - LEAST_MASK_IOU, "LaMa": MOST_FILL_DIFFERENCE}
    for path in (tmp_path / "precision").iterdir():
        verdict = json.loads(path.read_text())
        name = verdict["network"].split()[0]
        tried = verdict["tried"]
        assert set(tried) == offers[name] & {one.value for one in has}
        borne = {one for one, lost in tried.items() if lost["loss"] <= bounds[name]}
        assert borne >= bear[name] & set(tried)
        worth = {one for one in borne if tried[one]["share of time"] <= WORTH}
        fastest = min(worth, key=lambda one: tried[one]["share of time"], default="fp32")
        assert loaded.pop(name) == verdict["precision"] == fastest
    assert not loaded or not has & {Precision.BF16}
    assert load_decoder(settings).description["precision"] == "fp32"
