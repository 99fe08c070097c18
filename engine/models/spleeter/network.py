"""The network of Spleeter: a U-Net for each stem that estimates its magnitudes from the mixture's.

After Jansson et al. 2017, "Singing Voice Separation with Deep U-Net Convolutional Networks": six
convolutions that halve frames and bins, six transposed ones that double them, and a sigmoid that
says which share of each bin belongs to the stem. The stems' estimates share the mixture as their
squares do (a soft mask).

The layers' layout follows TensorFlow, in which it was trained: where an odd number of zeros is
added, the end has one more than the start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BINS", "FRAMES", "UNet", "shares"]

FRAMES = 512
"""Frames that the network sees at a time."""
BINS = 1024
"""Frequency bins that it sees, from 0 Hz upwards."""
_CHANNELS = 2
_WIDTHS = (16, 32, 64, 128, 256, 512)
_EPSILON = 1e-3  # of the normalisation, as TensorFlow has it
_SLOPE = 0.2
_NOTHING = 1e-10  # squared magnitudes of this order are nobody's: all stems share them alike


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 5, stride=2)
        self.norm = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what goes across to the decoder, and what goes further down."""
        across = self.conv(functional.pad(x, (1, 2, 1, 2)))
        return across, functional.leaky_relu(self.norm(across), _SLOPE)


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2)
        self.norm = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x)[..., 1:-2, 1:-2].relu())
        return out


class UNet(nn.Module):
    """Estimates one stem."""

    def __init__(self) -> None:
        super().__init__()
        narrower = (_CHANNELS, *_WIDTHS)
        self.down = nn.ModuleList(map(_Down, narrower, _WIDTHS))
        # All but the first get what the encoder had at their size beside what comes from below.
        above = (*_WIDTHS[-2::-1], 1)
        self.up = nn.ModuleList(
            map(_Up, (_WIDTHS[-1], *(2 * width for width in above[:-1])), above)
        )
        self.share = nn.Conv2d(1, _CHANNELS, 4, dilation=2, padding=3)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return the stem's magnitudes, of the shape of `magnitude`.

        Shape `(batch, 2, frames, bins)`; frames and bins are multiples of 64.
        """
        x, beside = magnitude, []
        for down in self.down:
            across, x = down(x)
            beside.append(across)
        x = beside.pop()  # the last level goes up as it is
        for up in self.up:
            x = up(x)
            if beside:
                x = torch.cat((beside.pop(), x), dim=1)
        out: Tensor = torch.sigmoid(self.share(x)) * magnitude
        return out


def shares(estimates: Tensor) -> Tensor:
    """Return which share of the mixture belongs to each stem, 0 to 1; they add up to 1.

    `estimates` is `(stems, ...)`, magnitudes; so is what is returned.
    """
    power = estimates.square()
    return (power + _NOTHING / len(power)) / (power.sum(dim=0) + _NOTHING)
