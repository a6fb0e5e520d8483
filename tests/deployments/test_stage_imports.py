"""What a replica has to load before it can serve: its start is in every autoscaling decision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trials.service import CACHE

STAGES = [
    "photo_intake",
    "image_encoder",
    "prompt_decoder",
    "mask_refiner",
    "lama_inpainter",
    "result_composer",
    "job_runner",
    "ingress",
    "webhook_sender",
]
ASK = "print([name for name in ('torch', 'openvino', 'matplotlib') if name in sys.modules])"


def loaded(program: str, cache: Path) -> list[str]:
    """Lines that the program prints in a new process."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()


def test_no_stage_imports_torch_to_be_defined(tmp_path: Path) -> None:
    program = "\n".join(f"import deployments.{stage}\n{ASK}" for stage in STAGES)
    told = dict(zip(STAGES, loaded(program, tmp_path), strict=True))
    with_torch = [stage for stage in STAGES if "torch" in told[stage]]
    assert not with_torch, f"torch came with {with_torch[0]}"


def test_networks_found_compiled_are_loaded_without_torch() -> None:
    program = f"""
from pathlib import Path
from deployments.networks import load_decoder, load_encoder, load_inpainter
from settings import Settings
settings = Settings(cache_dir=Path({str(CACHE)!r}), checkpoint_download=False)
for load in (load_encoder, load_decoder, load_inpainter):
    assert load(settings).description["backend"] == "openvino"
"""
    loaded(program, CACHE)  # whoever comes first converts them, and torch is needed for that
    assert loaded(f"{program}\n{ASK}", CACHE)[-1] == "['openvino']"
