"""Fast Fourier convolutions: layers whose second stream sees the whole picture at once.

Owns the layers that LaMa's generator is built of, with the released checkpoint's tensor names
(Chi et al., "Fast Fourier Convolution", NeurIPS 2020; as used by github.com/advimman/lama,
Apache-2.0). Does not own their number or order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Streams = tuple[Tensor, Tensor]  # local and global, each [B, C, H, W]


class FourierConvolution(nn.Module):
    """Fast Fourier convolution, batch norm and ReLU of a local and a global stream.

    The layers before the last downsampling have no global stream (0 channels of it): what they
    take and return is the local tensor alone.
    """

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], *, kernel: int, padding: int, stride: int = 1
    ):
        super().__init__()
        self.ffc = _FourPaths(inputs, outputs, kernel, padding, stride)
        self.bn_l = nn.BatchNorm2d(outputs[0])
        self.bn_g = nn.BatchNorm2d(outputs[1]) if outputs[1] else None

    def forward(self, x: Tensor | Streams) -> Tensor | Streams:
        """[B, C, H, W] of each stream -> [B, C', H / stride, W / stride] of each."""
        local, global_ = self.ffc(x) if isinstance(x, tuple) else self.ffc((x, None))
        local = torch.relu(self.bn_l(local))
        if self.bn_g is None:
            return local
        return local, torch.relu(self.bn_g(global_))


class _FourPaths(nn.Module):
    """The four paths between a local and a global stream; global to global is spectral."""

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], kernel: int, padding: int, stride: int
    ):
        super().__init__()

        def conv(source: int, target: int) -> nn.Conv2d:
            return nn.Conv2d(
                source,
                target,
                kernel,
                stride,
                padding,
                bias=False,
                padding_mode="reflect" if padding else "zeros",
            )

        (in_local, in_global), (out_local, out_global) = inputs, outputs
        self.convl2l = conv(in_local, out_local)
        self.convl2g = conv(in_local, out_global) if out_global else None
        self.convg2l = conv(in_global, out_local) if in_global else None
        self.convg2g = _SpectralTransform(in_global, out_global) if in_global and out_global else None

    def forward(self, x: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        local, global_ = x
        out_local = self.convl2l(local)
        out_global = self.convl2g(local) if self.convl2g is not None else None
        if global_ is not None and self.convg2l is not None and self.convg2g is not None:
            out_local = out_local + self.convg2l(global_)
            out_global = out_global + self.convg2g(global_)
        return out_local, out_global


class _SpectralTransform(nn.Module):
    """Halve the channels, mix every frequency by itself, restore the channels."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Sequential(nn.Conv2d(inputs, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = _FourierUnit(half)
        self.conv2 = nn.Conv2d(half, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        answer: Tensor = self.conv2(x + self.fu(x))
        return answer


class _FourierUnit(nn.Module):
    """1x1 convolution, batch norm and ReLU on the real and imaginary parts of the spectrum."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # Half-precision transforms exist for few sizes and lose the small frequencies: always fp32.
        spectrum = torch.view_as_real(torch.fft.rfftn(x.float(), dim=(-2, -1), norm="ortho"))
        # A channel's real and imaginary parts are neighbours: [B, 2C, H, W / 2 + 1]
        parts = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, 2 * channels, height, width // 2 + 1)
        parts = torch.relu(self.bn(self.conv_layer(parts)))
        parts = parts.reshape(batch, channels, 2, height, width // 2 + 1).permute(0, 1, 3, 4, 2)
        mixed = torch.view_as_complex(parts.float().contiguous())
        answer: Tensor = torch.fft.irfftn(mixed, s=(height, width), dim=(-2, -1), norm="ortho")
        return answer


class FourierResnetBlock(nn.Module):
    """Two Fourier convolutions and a skip connection around them."""

    def __init__(self, channels: tuple[int, int]):
        super().__init__()
        self.conv1 = FourierConvolution(channels, channels, kernel=3, padding=1)
        self.conv2 = FourierConvolution(channels, channels, kernel=3, padding=1)

    def forward(self, x: Streams) -> Streams:
        """[B, C, H, W] of each stream, kept."""
        local, global_ = self.conv2(self.conv1(x))
        return x[0] + local, x[1] + global_
