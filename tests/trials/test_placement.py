"""The production file on a real Ray with logical GPUs: who lands where, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from trials.placement import NETWORKS
from trials.service import ROOT

SCENES = ("one_card", "shares_too_large", "from_zero")


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Any]:
    command = [sys.executable, "-m", "trials.placement", "--scenes", ",".join(SCENES)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    return {one["scene"]: one for one in told}


def test_shares_of_encoder_decoder_and_inpainter_land_on_the_one_card(seen: Mapping[str, Any]) -> None:
    on_card = {
        one["stage"]: (one["cards"], one["share"]) for one in seen["one_card"]["replicas"] if one["cards"]
    }
    shares = (0.3, 0.2, 0.5)
    assert on_card == {stage: (["0"], share) for stage, share in zip(NETWORKS, shares, strict=True)}


def test_stages_without_a_share_see_no_gpu(seen: Mapping[str, Any]) -> None:
    for one in seen["one_card"]["replicas"]:
        assert one["visible"] == ("0" if one["stage"] in NETWORKS else ""), one


def test_shares_that_do_not_fit_are_refused_before_anything_starts(seen: Mapping[str, Any]) -> None:
    refusal = seen["shares_too_large"]["refusal"]
    assert "PromptDecoder does not fit" in refusal and "Lower DECODER_GPU" in refusal
    assert "1.1 GPU; the nodes have 12 CPU and 1 GPU" in refusal


def test_same_file_runs_without_gpus_by_setting_alone(seen: Mapping[str, Any]) -> None:
    found = seen["from_zero"]
    assert {one["stage"] for one in found["replicas"]} >= set(NETWORKS)
    assert all(one["share"] == 0 and one["visible"] == "" for one in found["replicas"])


def test_first_call_wakes_a_stage_at_zero_which_goes_back_to_sleep(seen: Mapping[str, Any]) -> None:
    found = seen["from_zero"]
    assert found["asleep"] and found["answer"] == "LamaInpainter" and found["asleep_again"]
