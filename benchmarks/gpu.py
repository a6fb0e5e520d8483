"""The engine's networks on a GPU, without Ray: `python -m benchmarks.gpu [--device cuda] [--out FOLDER]`.

Owns the variants of execution, the goals and the tables. Full-size networks with made-up weights
(`benchmarks/seeded_checkpoints.py`), or those of the settings with `--configured`. Every variant is timed in
the same run, beside eager fp32 and beside the card's own matrix-product peak; one that differs too much from
eager fp32 says so in its row. `--device cpu` runs the same code where there is no card, to see that it runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_path import agreement, whole_path
from benchmarks.machine import describe_machine
from benchmarks.report import Goal, Section, write_report
from benchmarks.seeded_checkpoints import ROOT, write_seeded_checkpoints
from engine.checkpoint_formats import read_tensors
from engine.lama.network import LamaNetwork
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from settings import Settings, read_settings

BATCHES = (1, 4, 16, 64)
LEAST_S, MOST_RUNS = 0.5, 200
PEAK_SIDES = {"cuda": 8192, "cpu": 512}  # a CPU without bf16 takes a minute for a product of 2048
Run = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A network to time: `inputs` makes a batch of CPU tensors; the goal is of items a second."""

    name: str
    module: nn.Module
    inputs: Callable[[int], tuple[Tensor, ...]]
    goal: float


def networks_of(mobile_sam: Path, lama: Path) -> list[Network]:
    """The three networks of two checkpoints, with noise to run them on."""
    tensors, metadata = read_tensors(mobile_sam)
    encoder = MobileSamEncoder.from_tensors(tensors, metadata).eval()
    decoder = MobileSamDecoder.from_tensors(tensors, metadata).eval()
    inpainter = LamaNetwork.load(*read_tensors(lama)).eval()
    side = encoder.config.image_size
    with torch.inference_mode():
        _, channels, rows, columns = encoder(torch.zeros(1, 3, side, side)).shape

    def pictures(batch: int) -> tuple[Tensor, ...]:
        return (torch.randn(batch, 3, side, side),)

    def prompts(batch: int) -> tuple[Tensor, ...]:
        points = torch.rand(batch, 2, 2) * side
        labels = torch.tensor([[1, -1]]).repeat(batch, 1)
        return torch.randn(batch, channels, rows, columns) * 0.1, points, labels

    def holes(batch: int) -> tuple[Tensor, ...]:
        hole = torch.zeros(batch, 1, 512, 512)
        hole[:, :, 150:350, 150:350] = 1
        return torch.rand(batch, 3, 512, 512), hole

    return [
        Network(f"encoder, {side} px", encoder, pictures, 1500),
        Network("decoder, 1 prompt", decoder, prompts, 20_000),
        Network("LaMa, 512 px", inpainter, holes, 250),
    ]


def half(device: str) -> AbstractContextManager[Any]:
    """Bf16 where autocast allows it."""
    return torch.autocast(device, torch.bfloat16)


def eager(module: Callable[..., Any], inputs: Sequence[Tensor], context: Callable[[], Any]) -> Run:
    """As it is written."""

    def run() -> Any:
        with torch.inference_mode(), context():
            return module(*inputs)

    return run


def graphed(module: Callable[..., Any], inputs: Sequence[Tensor], context: Callable[[], Any]) -> Run:
    """One CUDA graph of fixed sizes: what is launched is recorded once and then replayed."""
    run = eager(module, inputs, context)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = run()

    def replay() -> Any:
        graph.replay()
        return answer

    return replay


def variants(
    network: Network, batch: int, device: str, *, compiled: bool
) -> list[tuple[str, Callable[[], Run]]]:
    """Ways to run one batch, the plain one first; each is prepared when it is called."""
    module = _laid_out(network.module.to(device), torch.contiguous_format)
    plain = tuple(one.to(device) for one in network.inputs(batch))
    last = tuple(one.to(memory_format=torch.channels_last) if one.ndim == 4 else one for one in plain)

    def in_half() -> Any:
        return half(device)

    def channels_last() -> nn.Module:
        return _laid_out(module, torch.channels_last)

    ways: list[tuple[str, Callable[[], Run]]] = [
        ("eager fp32", lambda: eager(module, plain, nullcontext)),
        ("bf16", lambda: eager(module, plain, in_half)),
        ("bf16, channels last", lambda: eager(channels_last(), last, in_half)),
    ]
    if device == "cuda":
        ways.append(("bf16, channels last, CUDA graph", lambda: graphed(channels_last(), last, in_half)))
    if compiled:
        ways.append(
            ("bf16, channels last, compiled", lambda: eager(torch.compile(channels_last()), last, in_half))
        )
        if device == "cuda":
            ways.append(("all of these", lambda: graphed(torch.compile(channels_last()), last, in_half)))
    return ways


def _laid_out(module: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The same module, its convolutions' weights in this order."""
    for value in module.parameters():
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=layout)
    return module


def time_networks(
    networks: Sequence[Network], batches: Sequence[int], device: str, *, compiled: bool
) -> Section:
    """Every network by batch and variant."""
    peak = {
        name: peak_tflops(kind, device) for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }
    columns = (
        "network",
        "batch",
        "variant",
        "ms",
        "items/s",
        "times eager fp32",
        "of bf16 peak",
        "differs by",
    )
    section = Section("Networks", columns, values={"peak TFLOP/s": peak})
    section.notes.append(
        f"Peak: {peak['fp32']:.1f} TFLOP/s fp32, {peak['bf16']:.1f} bf16 (a product of this run). Fourier "
        "transforms are not counted as work. Differs by: L2 of the difference to eager fp32 over that of its "
        "answer."
    )
    for network in networks:
        best = 0.0
        flop = counted_flop(network)
        for batch in batches:
            plain_s, exact = 0.0, None
            for name, prepare in variants(network, batch, device, compiled=compiled):
                try:
                    run = prepare()
                    answer = first_of(run())
                    seconds = typical_s(run, device)
                except torch.OutOfMemoryError:
                    torch.cuda.empty_cache()
                    section.rows.append((network.name, batch, name, "out of memory"))
                    continue
                if exact is None:
                    plain_s, exact = seconds, answer
                apart = float((answer - exact).norm() / exact.norm())
                best = max(best, batch / seconds)
                share = f"{flop * batch / seconds / 1e12 / peak['bf16']:.0%}"
                cells = (1000 * seconds, batch / seconds, plain_s / seconds, share, f"{apart:.1e}")
                section.rows.append((network.name, batch, name, *cells))
        section.goals.append(Goal(f"{network.name}, items a second", best, at_least=network.goal))
        network.module.to("cpu")
    return section


def first_of(answer: Any) -> Tensor:
    """The network's first answer, a copy in fp32."""
    tensor: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return tensor.float().clone()


def counted_flop(network: Network) -> float:
    """Operations of one item, by products and convolutions."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.module(*network.inputs(1))
    return float(counter.get_total_flops())


def typical_s(run: Run, device: str) -> float:
    """Median seconds of a call after two that warm up, for half a second or three calls."""
    times: list[float] = []
    for turn in range(MOST_RUNS):
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn > 1:
            times.append(time.perf_counter() - started)
        if len(times) >= 3 and sum(times) > LEAST_S:
            break
    return median(times)


def peak_tflops(kind: torch.dtype, device: str) -> float:
    """What one large product reaches."""
    side = PEAK_SIDES[device]
    one = torch.randn(side, side, device=device, dtype=kind)
    return 2 * side**3 / typical_s(lambda: one @ one, device) / 1e12


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the report; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="sizes, by comma")
    parser.add_argument("--configured", action="store_true", help="the settings' checkpoints")
    parser.add_argument(
        "--no-compile", action="store_true", help="without torch.compile, which takes minutes"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here: --device cpu runs the same code without one")
    torch.manual_seed(0)
    batches = [int(size) for size in options.batches.split(",")]
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **describe_machine(),
        "torch": torch.__version__,
    }
    if options.device == "cuda":
        facts["card"] = torch.cuda.get_device_name()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(options.device, None if options.configured else Path(folder))
        mobile_sam, lama = settings.mobile_sam_checkpoint, settings.lama_checkpoint
        if mobile_sam is None or lama is None:
            parser.error("--configured needs MOBILE_SAM_CHECKPOINT and LAMA_CHECKPOINT")
        sections = [
            time_networks(
                networks_of(mobile_sam, lama), batches, options.device, compiled=not options.no_compile
            ),
            whole_path(settings),
            agreement(settings),
        ]
    for section in sections:
        print("\n".join(["", *section.lines()]), flush=True)
    print(write_report(options.out, f"engine_{options.device}", "The engine alone", facts, sections))
    raise SystemExit(0 if all(goal.is_met for section in sections for goal in section.goals) else 1)


def settings_for(device: str, folder: Path | None) -> Settings:
    """The settings with this device, and with made-up full-size checkpoints written into `folder`."""
    given: dict[str, object] = {"DEVICE": device, "CHECKPOINT_DOWNLOAD": False}
    if folder is not None:
        mobile_sam, lama = write_seeded_checkpoints(ROOT / "tests" / "golden", 0, folder, discs=True)
        given |= {"MOBILE_SAM_CHECKPOINT": str(mobile_sam), "LAMA_CHECKPOINT": str(lama)}
    return read_settings(given)


if __name__ == "__main__":
    main()
