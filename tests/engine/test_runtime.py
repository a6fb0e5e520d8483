from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine import compilation, kept_models, runtime
from engine.errors import ExecutionError
from engine.runtime import Backend, Device, Precision, Runtime, RuntimeOptions, build_runtime
from tests.engine.sources import source_of

BACKENDS = [Backend.TORCH, Backend.OPENVINO]


class Mixer(nn.Module):
    """Two inputs of two types, two outputs, weights: [B, N, 4] and indices [B, N] -> [B, N, 3], [B, 3]."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.table = nn.Embedding(5, 4)
        self.linear = nn.Linear(4, 3)

    def forward(self, values: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.linear(values + self.table(kinds))
        return mixed, mixed.mean(1)


class Outlandish(nn.Module):
    """Computes what no OpenVINO operation does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


class Dicing(nn.Module):
    """Answers otherwise each time, as a wrong conversion would."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


EXAMPLE = (np.random.default_rng(0).random((2, 3, 4), np.float32), np.zeros((2, 3), np.int64))
DYNAMIC = ((0, 1), (0, 1))


def build(module: nn.Module | None = None, digest: str = "0", **options: object) -> Runtime:
    source = source_of(module or Mixer(), EXAMPLE, DYNAMIC, "mixer", digest)
    return build_runtime(source, RuntimeOptions(**({"device": Device.CPU, "threads": 1} | options)))  # type: ignore[arg-type]


def build_alone(module: nn.Module, name: str, **options: object) -> Runtime:
    source = source_of(module, (np.ones((2, 3), np.float32),), ((0,),), name)
    return build_runtime(source, RuntimeOptions(device=Device.CPU, **options))  # type: ignore[arg-type]


def call(batch: int, points: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((batch, points, 4), dtype=np.float32), rng.integers(0, 5, (batch, points))


def expected(values: np.ndarray, kinds: np.ndarray, seed: int = 0) -> tuple[np.ndarray, ...]:
    with torch.no_grad():
        return tuple(tensor.numpy() for tensor in Mixer(seed)(torch.tensor(values), torch.tensor(kinds)))


def assert_same(
    answers: tuple[np.ndarray, ...], wanted: tuple[np.ndarray, ...], tolerance: float = 1e-5
) -> None:
    assert [answer.shape for answer in answers] == [array.shape for array in wanted]
    for answer, array in zip(answers, wanted, strict=True):
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, array, atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_answers_as_its_module_at_every_length_of_its_dynamic_axes(backend: Backend) -> None:
    runtime = build(backend=backend)
    assert (runtime.backend, runtime.device) == (backend, "cpu")
    for batch, points in [(2, 3), (1, 1), (5, 2), (1, 9)]:
        assert_same(runtime(*call(batch, points)), expected(*call(batch, points)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_may_be_read_only_or_strided_and_stay_as_they_are(backend: Backend) -> None:
    values, kinds = call(4, 6)
    strided, every_second = values[:, ::2], kinds[:, ::2]
    for array in (strided, every_second):
        array.flags.writeable = False
    before = values.copy()
    assert_same(build(backend=backend)(strided, every_second), expected(strided.copy(), every_second.copy()))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_can_be_computed_in_place_is_not_where_the_inputs_lie(backend: Backend) -> None:
    values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    before = values.copy()
    runtime = build_alone(nn.Sequential(nn.ReLU(), nn.Tanh()), "in_place", backend=backend)
    for _ in range(2):
        (answer,) = runtime(values)
        np.testing.assert_array_equal(values, before)
        np.testing.assert_allclose(answer, np.tanh(before.clip(0)), atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_outlive_the_next_call(backend: Backend) -> None:
    runtime = build(backend=backend)
    first = runtime(*call(2, 3, seed=1))
    runtime(*call(2, 3, seed=2))
    assert_same(first, expected(*call(2, 3, seed=1)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_concurrent_callers_each_get_their_own_answer(backend: Backend) -> None:
    runtime = build(backend=backend)
    failures: list[BaseException] = []
    reference = Mixer()
    reference.requires_grad_(False)

    def caller(number: int) -> None:
        try:
            for turn in range(30):
                inputs = call(1 + (number + turn) % 4, 1 + turn % 5, seed=100 * number + turn)
                wanted = reference(*map(torch.tensor, inputs))
                assert_same(runtime(*inputs), tuple(tensor.numpy() for tensor in wanted))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failed_call_leaves_the_network_usable(backend: Backend) -> None:
    runtime = build(backend=backend)
    for _ in range(3):
        with pytest.raises((RuntimeError, ValueError)):
            runtime(np.zeros((2, 3, 7), np.float32), np.zeros((2, 3), np.int64))
    assert_same(runtime(*call(2, 3)), expected(*call(2, 3)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_bf16_is_near_and_answers_in_fp32(backend: Backend) -> None:
    assert_same(build(backend=backend, precision=Precision.BF16)(*call(2, 3)), expected(*call(2, 3)), 0.05)


@pytest.mark.parametrize(
    "inputs",
    [
        (np.zeros((2, 3, 7), np.float32), np.zeros((2, 3), np.int64)),
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int64)),
        (np.zeros((2, 3, 4), np.float64), np.zeros((2, 3), np.int64)),
        (np.zeros((2, 3, 4), np.float32),),
    ],
    ids=["length", "rank", "type", "number"],
)
def test_openvino_is_never_asked_with_inputs_that_do_not_fit(inputs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"the network takes float32 \[\?,\?,4\], int64 \[\?,\?\], not float"
    ):
        build(backend=Backend.OPENVINO)(*inputs)


def test_openvino_is_chosen_on_a_cpu() -> None:
    assert build().backend == "openvino"


def test_a_network_that_openvino_cannot_convert_runs_in_torch(caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger().level
    runtime = build_alone(Outlandish(), "bessel")
    assert runtime.backend == "torch"
    x = np.linspace(0, 3, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(runtime(x)[0], torch.special.bessel_j0(torch.tensor(x)).numpy(), atol=1e-6)
    assert "OpenVINO cannot run bessel" in caplog.text
    assert logging.getLogger().level == level


def test_openvino_asked_for_by_name_is_not_replaced() -> None:
    with pytest.raises(ExecutionError, match="OpenVINO cannot run bessel"):
        build_alone(Outlandish(), "bessel", backend=Backend.OPENVINO)


def test_a_conversion_that_answers_otherwise_is_refused() -> None:
    with pytest.raises(ExecutionError, match="differ from torch's by"):
        build_alone(Dicing(), "dicing", backend=Backend.OPENVINO)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ExecutionError, match="no CUDA device"):
        build(device=Device.CUDA)


@pytest.mark.parametrize(("hidden", "may"), [(None, True), ("", False), ("0", True)])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="devices are files on Linux only")
def test_torch_is_asked_for_a_gpu_wherever_a_driver_may_have_one(
    hidden: str | None, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    node = tmp_path / "nvidiactl"
    monkeypatch.setattr(runtime, "_GPU_NODES", (str(node),))
    assert not runtime._may_have_a_gpu()
    node.touch()
    assert runtime._may_have_a_gpu() is may


def conversions(caplog: pytest.LogCaptureFixture) -> int:
    return sum("converted mixer" in record.message for record in caplog.records)


def test_a_network_is_converted_once_and_then_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        assert_same(build(cache_dir=tmp_path)(*call(2, 3)), expected(*call(2, 3)))
    build(cache_dir=tmp_path, precision=Precision.BF16, threads=2)
    assert conversions(caplog) == 1


def test_other_weights_are_converted_on_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    build(cache_dir=tmp_path)
    other = build(Mixer(seed=1), cache_dir=tmp_path, digest="1")
    assert_same(other(*call(2, 3)), expected(*call(2, 3), seed=1))
    assert conversions(caplog) == 2


def test_a_damaged_conversion_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(cache_dir=tmp_path)
    (network,) = tmp_path.glob("converted/*/network.xml")
    network.write_text("<net")
    # With other settings: what has been compiled is still good.
    assert_same(build(cache_dir=tmp_path, threads=2)(*call(2, 3)), expected(*call(2, 3)))
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("lost", ["network.xml", "network.bin"])
def test_a_conversion_that_lost_a_file_is_made_again(
    lost: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    build(cache_dir=tmp_path)
    (folder,) = tmp_path.glob("converted/mixer-*")
    (folder / lost).unlink()
    for _ in range(2):
        assert_same(build(cache_dir=tmp_path)(*call(2, 3)), expected(*call(2, 3)))
    assert conversions(caplog) == 2
    assert "cannot be kept" not in caplog.text


def test_a_compiled_network_is_kept_and_needs_its_module_no_more(tmp_path: Path) -> None:
    first = build(cache_dir=tmp_path)

    def load() -> nn.Module:
        raise AssertionError("the module was built again")

    kept = replace(source_of(Mixer(), EXAMPLE, DYNAMIC, "mixer"), load=load)
    second = build_runtime(kept, RuntimeOptions(device=Device.CPU, threads=1, cache_dir=tmp_path))
    for batch, points in [(2, 3), (1, 9)]:
        for one, other in zip(first(*call(batch, points)), second(*call(batch, points)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_network_without_examples_is_not_put_into_8_bits() -> None:
    with pytest.raises(ExecutionError, match="no examples"):
        build(backend=Backend.OPENVINO, precision=Precision.INT8)


def test_torch_has_no_8_bits_and_says_so() -> None:
    assert build(backend=Backend.TORCH, precision=Precision.INT8).precision is Precision.FP32
    assert build(backend=Backend.TORCH, precision=Precision.INT8_BF16).precision is Precision.BF16


def test_networks_compiled_for_other_settings_are_kept_apart(tmp_path: Path) -> None:
    wanted = [Precision.FP32, Precision.BF16, Precision.FP32]
    precisions = [build(cache_dir=tmp_path, precision=one).precision for one in wanted]
    assert precisions == wanted
    assert len(list(tmp_path.glob("converted/*/compiled-*.blob"))) == 2


def test_a_large_network_is_not_kept_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_LARGEST_KEPT_BYTES", 8)
    build(cache_dir=tmp_path)
    assert_same(build(cache_dir=tmp_path)(*call(2, 3)), expected(*call(2, 3)))
    assert not list(tmp_path.glob("converted/*/compiled-*.blob"))


def spoil_cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoil_other_release(content: bytes) -> bytes:
    assert b"ov=20" in content
    return content.replace(b"ov=20", b"ov=19")


def spoil_no_text(content: bytes) -> bytes:
    return content[:40] + b"\xff" + content[41:]


@pytest.mark.parametrize(
    "spoil", [spoil_cut, spoil_other_release, spoil_no_text, lambda content: b"", lambda content: b"text"]
)
def test_a_damaged_compiled_network_is_compiled_again(
    spoil: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(cache_dir=tmp_path)
    (compiled,) = tmp_path.glob("converted/*/compiled-*.blob")
    content = compiled.read_bytes()
    compiled.write_bytes(spoil(content))
    assert_same(build(cache_dir=tmp_path)(*call(2, 3)), expected(*call(2, 3)))
    assert "compiling it again" in caplog.text
    assert len(compiled.read_bytes()) == len(content)
    assert [path.name for path in compiled.parent.glob(".unfinished-*")] == []


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "converted").write_text("a file, not a folder")
    assert build(cache_dir=tmp_path).backend == "openvino"
    assert "cannot be kept" in caplog.text


def test_a_disk_without_room_costs_only_the_keeping(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_model(model: object, path: Path, **options: object) -> None:
        path.write_text("<net")
        raise RuntimeError("basic_ios::clear: iostream error")  # OpenVINO's words where the disk is full

    monkeypatch.setattr(kept_models.openvino, "save_model", save_model)
    assert_same(build(cache_dir=tmp_path)(*call(2, 3)), expected(*call(2, 3)))
    assert "cannot be kept" in caplog.text
    assert [path.name for path in tmp_path.glob("converted/*")] == ["mixer.lock"]


def test_conversions_unused_for_a_week_are_removed(tmp_path: Path) -> None:
    for name, days in [("mixer-old", 8), ("mixer-recent", 6), ("other-old", 8), (".unfinished-old", 8)]:
        folder = tmp_path / "converted" / name
        folder.mkdir(parents=True)
        when = time.time() - 86_400 * days
        os.utime(folder, (when, when))
    build(cache_dir=tmp_path)
    left = {path.name for path in (tmp_path / "converted").iterdir() if path.is_dir()}
    assert {"mixer-recent", "other-old"} < left
    assert not {"mixer-old", ".unfinished-old"} & left


def run_program(program: str, *arguments: str, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "HOME": str(home)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def test_processes_that_race_convert_once(tmp_path: Path) -> None:
    program = (
        "import sys, logging; logging.basicConfig(level=logging.INFO); from pathlib import Path;"
        "from tests.engine.test_runtime import build; build(cache_dir=Path(sys.argv[1]))"
    )
    racers = [run_program(program, str(tmp_path), home=tmp_path) for _ in range(2)]
    texts = [racer.communicate(timeout=200)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], texts
    assert sum("converted mixer" in text for text in texts) == 1, texts
    shutil.rmtree(tmp_path)


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    # Left alone, OpenVINO forks a process that reports the import, and keeps an id in the home folder.
    program = """
import sys
told = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.fork"):
        told.append((event, arguments))
sys.addaudithook(watch)
from tests.engine.test_runtime import build, call
build()(*call(2, 3))
assert sys.modules["openvino"] and sys.modules["openvino_telemetry"] is None
assert not told, told
"""
    watched = run_program(program, home=tmp_path)
    text, _ = watched.communicate(timeout=200)
    assert watched.returncode == 0, text
    assert not list(tmp_path.iterdir())
