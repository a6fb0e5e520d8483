"""What a replica has to load before it can serve: its start is in every autoscaling decision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
ASK = "import sys; print([name for name in ('torch', 'openvino', 'matplotlib') if name in sys.modules])"


def loaded(program: str, cache: Path) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ASK}"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_torch_to_be_defined(stage: str, tmp_path: Path) -> None:
    assert "torch" not in loaded(f"import deployments.{stage}", tmp_path)


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
    assert loaded(program, CACHE) == "['openvino']"
