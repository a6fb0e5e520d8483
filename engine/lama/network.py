"""LaMa's generator: a ResNet of fast Fourier convolutions that fills the hole of a picture.

Owns the layers, their configuration as read from a checkpoint, and the composite of fill and
picture. Does not own crops, buckets or files. Tensor names and arithmetic are those of the
released TorchScript checkpoint `big-lama.pt` (Suvorov et al., "Resolution-robust Large Mask
Inpainting with Fourier Convolutions", WACV 2022; github.com/advimman/lama, Apache-2.0).

The bundled small checkpoints differ from the released one by size and by two flags: a classical
fill in place of zeros inside the hole (`prefill`), and a correction of it in place of the
picture itself as the network's answer (`output`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import CheckpointError
from engine.lama.fourier_convolution import FourierConvolution, FourierResnetBlock, Streams
from engine.lama.pyramid_fill import fill_smoothly
from engine.lama.shift_fill import ShiftFill

_PREFIX = "model."  # the released file wraps the generator in a module called `model`


class Prefill(StrEnum):
    """What the network sees inside the hole."""

    ZEROS = "none"
    PYRAMID = "pyramid"  # smooth colours
    SHIFT = "shift"  # smooth colours, and detail copied from elsewhere in the picture


class Output(StrEnum):
    """What the last layer's sigmoid means: the fill, or (times 2, minus 1) what to add to the prefill."""

    PICTURE = "picture"
    RESIDUAL = "residual"


@dataclass(frozen=True, slots=True)
class LamaConfig:
    """Dimensions of one generator; the defaults are those of `big-lama.pt`."""

    width: int = 64  # channels after the first layer
    downsamplings: int = 3
    blocks: int = 18
    local_channels: int = 128  # of the two streams inside the blocks
    global_channels: int = 384
    input_channels: int = 4
    output_channels: int = 3
    prefill: Prefill = Prefill.ZEROS
    output: Output = Output.PICTURE
    good_size: int = 512  # longest side in pixels that this checkpoint fills well

    @property
    def global_ratio(self) -> float:
        """Share of the blocks' channels that is convolved in the frequency domain."""
        return self.global_channels / (self.local_channels + self.global_channels)

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2**self.downsamplings)

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
    ) -> LamaConfig:
        """Read the dimensions from tensor names and shapes, the rest from the file's metadata.

        Args:
            tensors: state dict with names as released, `model.generator.model.*`.
            metadata: `prefill`, `output` and `good_size`; what is absent has the released value.

        Raises:
            CheckpointError: the tensors are not those of a LaMa generator.
        """
        metadata = metadata or {}
        layers = f"{_PREFIX}generator.model."
        try:
            blocks = _count(tensors, re.escape(layers) + r"\d+\.conv1\.ffc\.convl2l\.weight")
            downsamplings = _count(tensors, re.escape(layers) + r"\d+\.ffc\.convl2l\.weight") - 1
            first = tensors[f"{layers}1.ffc.convl2l.weight"]
            last = tensors[f"{layers}{_last_layer(downsamplings, blocks)}.weight"]
            return cls(
                width=first.shape[0],
                downsamplings=downsamplings,
                blocks=blocks,
                local_channels=tensors[f"{layers}{downsamplings + 1}.bn_l.weight"].shape[0],
                global_channels=tensors[f"{layers}{downsamplings + 1}.bn_g.weight"].shape[0],
                input_channels=first.shape[1],
                output_channels=last.shape[0],
                prefill=Prefill(metadata.get("prefill", Prefill.ZEROS)),
                output=Output(metadata.get("output", Output.PICTURE)),
                good_size=int(metadata.get("good_size", 512)),
            )
        except KeyError as error:
            raise CheckpointError(f"Not a LaMa checkpoint: it has no tensor {error}") from error
        except ValueError as error:
            raise CheckpointError(f"LaMa checkpoint with metadata that is not understood: {error}") from error


class LamaNetwork(nn.Module):
    """Fills the hole of each picture of a batch; pixels outside the holes come back as they are."""

    def __init__(self, config: LamaConfig):
        super().__init__()
        self.config = config
        self.generator = _Generator(config)
        self.shift_fill = ShiftFill() if config.prefill is Prefill.SHIFT else None  # has no weights

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> LamaNetwork:
        """A network in eval mode and fp32, with the weights of a released or bundled checkpoint.

        Args:
            tensors: state dict with names `model.generator.model.*`, of any float type.
            metadata: see `LamaConfig.from_tensors`.

        Raises:
            CheckpointError: names are missing or not expected, or shapes do not fit together.
        """
        network = cls(LamaConfig.from_tensors(tensors, metadata))
        expected = {_PREFIX + name for name in network.state_dict()}
        if missing := sorted(expected - tensors.keys()):
            raise CheckpointError(f"LaMa checkpoint without {len(missing)} tensors: {', '.join(missing)}")
        if unexpected := sorted(tensors.keys() - expected):
            raise CheckpointError(
                f"LaMa checkpoint with {len(unexpected)} unknown tensors: {', '.join(unexpected)}"
            )
        try:
            network.load_state_dict({name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise CheckpointError(f"LaMa checkpoint whose shapes do not fit together: {error}") from error
        return network.eval()

    def released_state_dict(self) -> dict[str, Tensor]:
        """The weights under their released names, as `load` takes them."""
        return {_PREFIX + name: tensor for name, tensor in self.state_dict().items()}

    def forward(self, picture: Tensor, hole: Tensor) -> Tensor:
        """Fill the holes.

        Args:
            picture: [B, 3, H, W] float32 RGB 0..1; H and W multiples of `config.multiple`, 16 or more.
            hole: [B, 1, H, W] float32, 1 = to be filled, 0 = kept.

        Returns:
            [B, 3, H, W] float32 RGB 0..1; equal to `picture` where `hole` is 0.
        """
        filled = self.prefill(picture, hole)
        return hole * self.predict(filled, hole) + (1 - hole) * picture

    def prefill(self, picture: Tensor, hole: Tensor) -> Tensor:
        """[B, 3, H, W] as the generator sees it: `picture` with zeros or a classical fill in the hole."""
        known = picture * (1 - hole)
        if self.config.prefill is Prefill.PYRAMID:
            return fill_smoothly(known, 1 - hole)
        if self.shift_fill is not None:
            shifted: Tensor = self.shift_fill(known, 1 - hole)
            return shifted
        return known

    def predict(self, filled: Tensor, hole: Tensor) -> Tensor:
        """The generator's whole picture before compositing, from what `prefill` answered."""
        answer = torch.sigmoid(self.generator(torch.cat([filled, hole], dim=1)))
        if self.config.output is Output.RESIDUAL:
            answer = torch.clamp(filled + 2 * answer - 1, 0, 1)
        return answer


class _Generator(nn.Module):
    """[B, 4, H, W] known pixels and hole -> [B, 3, H, W] before the sigmoid."""

    def __init__(self, config: LamaConfig):
        super().__init__()
        streams = (config.local_channels, config.global_channels)
        width, top = config.width, sum(streams)
        # Channels double on the way down, up to a cap that shows in the width of the blocks.
        widths = [min(width * 2**level, top) for level in range(config.downsamplings)] + [top]
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            FourierConvolution((config.input_channels, 0), (width, 0), kernel=7, padding=0),
        ]
        for level in range(config.downsamplings):
            is_last = level == config.downsamplings - 1
            out = streams if is_last else (widths[level + 1], 0)
            layers.append(FourierConvolution((widths[level], 0), out, kernel=3, padding=1, stride=2))
        layers += [FourierResnetBlock(streams) for _ in range(config.blocks)]
        layers.append(_Join())
        for level in reversed(range(config.downsamplings)):
            layers += [
                nn.ConvTranspose2d(
                    widths[level + 1], widths[level], 3, stride=2, padding=1, output_padding=1
                ),
                nn.BatchNorm2d(widths[level]),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), _FewChannels(width, config.output_channels, 7)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.model(x)
        return answer


class _FewChannels(nn.Conv2d):
    """A convolution to very few channels, computed for 2 x 2 pixels at once: H and W come out even.

    Vector units and matrix cores compute 16 channels in the time of 3. Four pixels of 3 are 12 channels of a
    kernel that is one larger either way and steps by two: the same sums, in a third of the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H + K - 1, W + K - 1] -> [B, C', H, W], K being the kernel's size."""
        corners = [F.pad(self.weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)]
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(x, torch.stack(corners, 1).flatten(0, 1), bias, stride=2), 2)


class _Join(nn.Module):
    """Both streams as one tensor."""

    def forward(self, x: Streams) -> Tensor:
        return torch.cat(x, dim=1)


def _count(names: Iterable[str], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in names)


def _last_layer(downsamplings: int, blocks: int) -> int:
    """Position of the last convolution among the generator's layers."""
    first_upsampling = 2 + downsamplings + blocks + 1
    return first_upsampling + 3 * downsamplings + 1
