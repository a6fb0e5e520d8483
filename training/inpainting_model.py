"""The inpainting network as it is trained: what it adds to the classical fill is smooth.

Owns the last layer's shape while training. The error of a classical fill that can be foreseen is one of
colours and forms; its detail, a chance hit or miss, is as strong as it should be and is to stay. So the last
layer's kernel is one fixed blur of a learned mixture of channels, which is also cheaper to train, and is
written out as the plain kernel that `engine.lama.network` expects.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.lama.network import LamaConfig, LamaNetwork
from training.arithmetic import fast_arithmetic

_BLUR_PX = 1.6  # standard deviation, cut off by the kernel of 7 px
_KERNEL = 7


class SmoothCorrection(nn.Module):
    """A LaMa generator whose answer is a smooth correction of the classical fill."""

    blur: Tensor

    def __init__(self, config: LamaConfig):
        super().__init__()
        self._network = LamaNetwork(config)
        self._network.generator.model[-1].requires_grad_(False)  # `network` writes it
        self.mix = nn.Conv2d(config.width, config.output_channels, 1)
        for parameter in self.mix.parameters():  # start as the classical fill itself: a correction of zero
            nn.init.zeros_(parameter)
        offsets = torch.arange(_KERNEL) - _KERNEL // 2
        line = torch.exp(-(offsets / _BLUR_PX).square() / 2)
        self.register_buffer("blur", line / line.sum(), persistent=False)

    def forward(self, start: Tensor, hole: Tensor) -> Tensor:
        """[B, 3, H, W] RGB 0..1: the corrected picture; of use inside the hole.

        Args:
            start: [B, 3, H, W] float32 RGB 0..1, as the network's `prefill` answers.
            hole: [B, 1, H, W] float32, 1 = to be filled.
        """
        with fast_arithmetic(start.device.type):
            body = self._network.generator.model[:-2]  # without the padding and the kernel of the last layer
            mixed = self.mix(body(torch.cat([start, hole], dim=1)))
        channels, margin = mixed.shape[1], _KERNEL // 2
        padded = functional.pad(mixed.float(), (margin,) * 4, mode="reflect")
        for shape in ((1, 1, _KERNEL, 1), (1, 1, 1, _KERNEL)):
            kernel = self.blur.reshape(shape).expand(channels, -1, -1, -1)
            padded = functional.conv2d(padded, kernel, groups=channels)
        return torch.clamp(start + 2 * torch.sigmoid(padded) - 1, 0, 1)

    def kernels(self) -> list[nn.Parameter]:
        """The weights of all convolutions but the last, [C', C, K, K] (of upsampling ones [C, C', K, K])."""
        layers = self._network.generator.model[:-2]
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        return [layer.weight for layer in layers.modules() if isinstance(layer, kinds)]

    def network(self) -> LamaNetwork:
        """The same as a plain network in eval mode; it shares the weights of all layers but the last."""
        last = self._network.generator.model[-1]
        with torch.no_grad():
            last.weight.copy_(self.mix.weight * torch.outer(self.blur, self.blur))
            last.bias.copy_(self.mix.bias)
        return self._network.eval()
