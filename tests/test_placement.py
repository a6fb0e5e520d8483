"""Whether a config fits is known before it is deployed, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.check_placement import main, node_of
from launch.errors import LaunchError
from launch.placement import Demand, Node, Placed, demands_of, place
from settings import read_settings
from trials.production import deployments_of, production_config

GPU_NODE = Node("gpu", {"CPU": 16, "GPU": 1})


def share(stage: str, replicas: int, gpu: float, most_per_node: int | None = None) -> Demand:
    return Demand(stage, replicas, {"CPU": 1, "GPU": gpu}, most_per_node)


def test_shares_of_one_card_are_packed_onto_it() -> None:
    demands = [share("ImageEncoder", 1, 0.3), share("PromptDecoder", 1, 0.2), share("LamaInpainter", 1, 0.5)]
    placed = place(demands, [GPU_NODE]).placed
    assert {(one.stage, one.cards) for one in placed} == {(one.stage, (0,)) for one in demands}


def test_rest_of_two_cards_is_no_room_for_a_share_of_one() -> None:
    demands = [share("A", 2, 0.6), share("B", 1, 0.8)]  # 2.0 of 2 cards, but none has 0.8 left
    assert "A does not fit" in place(demands, [Node("n", {"CPU": 9, "GPU": 2})]).refusal
    assert place(demands, [Node("n", {"CPU": 9, "GPU": 3})]).placed


def test_second_thoughts_find_room_where_the_first_did_not() -> None:
    # The big memory goes to the first node that has it, where the GPU's replica would have needed it.
    nodes = [Node("with-card", {"CPU": 4, "GPU": 1, "memory": 8}), Node("without", {"CPU": 4, "memory": 4})]
    demands = [
        Demand("Network", 1, {"CPU": 1, "GPU": 0.5, "memory": 4}),
        Demand("One", 2, {"CPU": 2, "memory": 4}),
    ]
    assert {one.node for one in place(demands, nodes).placed} == {"with-card", "without"}


def test_whole_cards_are_taken_whole() -> None:
    two = place([Demand("A", 1, {"GPU": 2}), Demand("B", 1, {"GPU": 0.1})], [Node("n", {"GPU": 3})])
    assert two.placed == (Placed("A", "n", (0, 1)), Placed("B", "n", (2,)))
    assert place([Demand("A", 1, {"GPU": 2}), Demand("B", 1, {"GPU": 0.1})], [Node("n", {"GPU": 2})]).refusal


def test_no_more_of_a_stage_on_a_node_than_may_be() -> None:
    demand = share("ImageEncoder", 2, 0.3, most_per_node=1)
    assert {one.node for one in place([demand], [Node("n", {"CPU": 4, "GPU": 1}, 2)]).placed} == {
        "n-1",
        "n-2",
    }
    assert "at most 1 of them on a node" in place([demand], [GPU_NODE]).refusal


def test_refusal_names_stage_share_nodes_and_setting() -> None:
    demands = [share("ImageEncoder", 1, 0.4), share("PromptDecoder", 1, 0.2), share("LamaInpainter", 1, 0.5)]
    refusal = place(demands, [GPU_NODE]).refusal
    assert "PromptDecoder does not fit: 1 x 1 CPU and 0.2 GPU is asked for" in refusal
    assert "All stages together need 3 CPU and 1.1 GPU; the nodes have 16 CPU and 1 GPU" in refusal
    assert "Lower DECODER_GPU" in refusal


def test_without_a_gpu_the_refusal_says_which_setting_does_without() -> None:
    assert "set DEVICE=cpu" in place([share("LamaInpainter", 1, 0.5)], [Node("n", {"CPU": 8})]).refusal


def test_many_replicas_on_many_nodes_are_judged_in_no_time() -> None:
    demands = [
        share("ImageEncoder", 40, 0.3),
        share("PromptDecoder", 40, 0.2),
        share("LamaInpainter", 39, 0.5),
    ]
    nodes = [Node("gpu", {"CPU": 16, "GPU": 1}, 40)]
    assert len(place(demands, nodes).placed) == 119
    assert place([*demands, share("More", 3, 0.5)], nodes).refusal


# Any: a serve config is a tree of YAML.
def demands(device: str, cluster_has_gpus: bool, **args: object) -> dict[str, Demand]:
    config: dict[str, Any] = production_config()
    settings = read_settings({**config["applications"][0]["args"], "DEVICE": device, **args})
    return {one.stage: one for one in demands_of(config, settings, cluster_has_gpus)}


@pytest.mark.parametrize(
    ("device", "cluster_has_gpus", "gpu"), [("cuda", False, 0.7), ("auto", True, 0.7), ("auto", False, 0)]
)
def test_device_decides_whether_the_same_file_asks_for_gpus(
    device: str, cluster_has_gpus: bool, gpu: float
) -> None:
    found = demands(device, cluster_has_gpus, INPAINTER_GPU=0.7)
    assert found["LamaInpainter"].resources.get("GPU", 0) == gpu
    assert "GPU" not in found["MaskRefiner"].resources


def test_cpu_by_setting_asks_for_no_gpu_where_there_are_some() -> None:
    assert not any("GPU" in one.resources for one in demands("cpu", True).values())


def test_stage_that_may_go_to_zero_still_needs_room_for_one() -> None:
    zero = deployments_of(production_config())["LamaInpainter"]["autoscaling_config"]["min_replicas"]
    assert zero == 0 and demands("cuda", True)["LamaInpainter"].replicas == 1


def test_command_says_who_fits_where_or_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(production_config()))
    assert main([str(path), "--node", "2xCPU=16,GPU=1"]) == 0
    assert "LamaInpainter on GPU 0" in capsys.readouterr().out
    assert main([str(path), "--node", "2xCPU=16"]) == 1
    assert capsys.readouterr().err.startswith("refused: ")


def test_rolling_update_with_surge_needs_room_beside_the_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = production_config()
    deployments_of(config)["LamaInpainter"]["max_surge_percent"] = 100
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    assert main([str(path), "--node", "2xCPU=16,GPU=1"]) == 0
    assert "fit beside the old" in capsys.readouterr().out
    config["applications"][0]["args"]["INPAINTER_GPU"] = 0.5
    deployments_of(config)["LamaInpainter"]["autoscaling_config"]["min_replicas"] = 2
    path.write_text(yaml.safe_dump(config))
    assert main([str(path), "--node", "2xCPU=16,GPU=1"]) == 0
    assert "do not fit beside the old: " in capsys.readouterr().out


def test_misspelt_node_is_refused() -> None:
    with pytest.raises(LaunchError, match="write for example"):
        node_of("16 cores", 0)
