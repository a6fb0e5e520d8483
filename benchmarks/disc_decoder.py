"""Values for Segment Anything's mask decoder under which a tap gives a disc around itself.

Made-up weights alone make masks of noise, and the time that a service spends after the masks (refining,
crops, fills, cut-outs) depends on how large objects are. With these values each tap has an object of
about `RADIUS` of the picture's longer side, while every tensor keeps its shape, so that the network
costs what the released one costs.

How: places are encoded by one slow wave each way, so that their product falls steadily with distance.
A tap's token is marked +1 and all others -1 in channel 0; each cell of the picture attends to the tap's
token where it is near, else to the others, and what it gets is passed on to the logits.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping

import torch
from torch import Tensor

RADIUS = 0.09  # of the longer side; one embedding cell, 16 px at 1024, more or less
STEEPNESS = 60.0  # how fast attention goes from one kind of token to the other
WAVE = 0.25  # half a period over the picture: no place looks like another
LOGITS = 64.0
IOU = (0.88, 0.95, 0.92, 0.80)  # predicted, of masks 0 to 3
HEADS = 8


def draw_discs(tensors: MutableMapping[str, Tensor]) -> None:
    """Overwrite what decides the mask in `tensors`, a whole MobileSAM checkpoint by name."""
    values = {name: value for name, value in tensors.items() if not name.startswith("image_encoder.")}
    _quiet_picture(tensors)
    _mark_tokens(values)
    _look_at_near_tap(values)
    _pass_on(values)


def _quiet_picture(tensors: MutableMapping[str, Tensor]) -> None:
    # The picture's own features would only be noise in the attention.
    tensors["image_encoder.neck.3.weight"].mul_(0.01)
    tensors["image_encoder.neck.3.bias"].zero_()


def _mark_tokens(values: MutableMapping[str, Tensor]) -> None:
    waves = values["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    waves.zero_()
    waves[0, 1], waves[1, 2] = WAVE, WAVE  # channels 1, 2: sine across and down; + half: cosine
    marks = {"point_embeddings.0": -1.0, "point_embeddings.1": 1.0, "point_embeddings.2": 1.0}
    marks |= {"point_embeddings.3": 1.0, "not_a_point_embed": -1.0}
    for name, mark in marks.items():
        _mark(values[f"prompt_encoder.{name}.weight"], mark)
    for name in ("iou_token", "mask_tokens"):
        _mark(values[f"mask_decoder.{name}.weight"], -1.0)
    # Something large and constant, or normalisation would make a step of every slope.
    steady = values["prompt_encoder.no_mask_embed.weight"]
    steady.zero_()
    steady[0, 3], steady[0, 4] = 400.0, -400.0


def _mark(token: Tensor, mark: float) -> None:
    token.zero_()
    token[:, 0] = mark


def _look_at_near_tap(values: MutableMapping[str, Tensor]) -> None:
    layers = "mask_decoder.transformer.layers."
    for layer in ("0", "1"):
        for norm in ("norm1", "norm2", "norm3"):
            weight = values[f"{layers}{layer}.{norm}.weight"]
            weight.zero_()
            weight[0] = 1 / 16  # of 256 channels with one mark, the mark becomes 16
            values[f"{layers}{layer}.{norm}.bias"].zero_()
        values[f"{layers}{layer}.norm4.weight"].fill_(1)
        values[f"{layers}{layer}.norm4.bias"].zero_()
        for block in ("cross_attn_token_to_image", "mlp.lin2", "cross_attn_image_to_token", "self_attn"):
            out = block if block.startswith("mlp") else f"{block}.out_proj"
            values[f"{layers}{layer}.{out}.weight"].zero_()
            values[f"{layers}{layer}.{out}.bias"].zero_()
    _attend_to_own_kind(values, f"{layers}0.self_attn.")
    _attend_by_distance(values, f"{layers}0.cross_attn_image_to_token.")


def _attend_to_own_kind(values: MutableMapping[str, Tensor], block: str) -> None:
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        values[f"{block}{part}.weight"].zero_()
        values[f"{block}{part}.bias"].zero_()
    values[f"{block}q_proj.weight"][0, 0] = 20.0
    values[f"{block}k_proj.weight"][0, 0] = 20.0
    values[f"{block}v_proj.weight"][0, 0] = 1.0
    values[f"{block}out_proj.weight"][0, 0] = 1.0


def _attend_by_distance(values: MutableMapping[str, Tensor], block: str) -> None:
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        values[f"{block}{part}.weight"].zero_()
        values[f"{block}{part}.bias"].zero_()
    query, key = values[f"{block}q_proj.weight"], values[f"{block}k_proj.weight"]
    inner = query.shape[0] // HEADS
    half = query.shape[1] // 2
    gain = STEEPNESS * math.sqrt(inner)
    # Likeness at the disc's rim, where a tap's token weighs as much as the six others together.
    at_rim = STEEPNESS * (1 + math.cos(4 * math.pi * WAVE * RADIUS)) - math.log(6.0)
    for head in range(HEADS):
        start = head * inner
        for place, channel in enumerate((1, 2, half + 1, half + 2)):
            query[start + place, channel] = gain
            key[start + place, channel] = 1.0
        # A mark comes twice, in the token and in its prompt: from a tap's to another's it is 4 quarters.
        values[f"{block}q_proj.bias"][start + 4] = -math.sqrt(inner) * at_rim
        key[start + 4, 0] = 0.25
        values[f"{block}v_proj.weight"][start, 0] = 1.0
        values[f"{block}out_proj.weight"][0, start] = 1.0


def _pass_on(values: MutableMapping[str, Tensor]) -> None:
    decoder = "mask_decoder."
    values[f"{decoder}transformer.final_attn_token_to_image.out_proj.weight"].zero_()
    values[f"{decoder}transformer.final_attn_token_to_image.out_proj.bias"].zero_()
    first, second = f"{decoder}output_upscaling.0.", f"{decoder}output_upscaling.3."
    for part in (first, second):
        values[f"{part}weight"].zero_()
        values[f"{part}bias"].zero_()
    # As a pair of opposites, x - (-x): what GELU takes from one it leaves to the other.
    values[f"{first}weight"][0, 0], values[f"{first}weight"][0, 1] = 1.0, -1.0
    values[f"{first}bias"][2], values[f"{first}bias"][3] = 10.0, -10.0
    values[f"{decoder}output_upscaling.1.weight"].fill_(1)
    values[f"{decoder}output_upscaling.1.bias"].zero_()
    weight = values[f"{second}weight"]
    weight[0, 0], weight[1, 0], weight[0, 1], weight[1, 1] = 1.0, -1.0, -1.0, 1.0
    values[f"{second}bias"][2] = 3.0
    for mask in range(4):
        head = f"{decoder}output_hypernetworks_mlps.{mask}.layers.2."
        values[f"{head}weight"].zero_()
        bias = values[f"{head}bias"]
        bias.zero_()
        bias[0], bias[1] = LOGITS, -LOGITS
    values[f"{decoder}iou_prediction_head.layers.2.weight"].zero_()
    values[f"{decoder}iou_prediction_head.layers.2.bias"].copy_(torch.tensor(IOU))
