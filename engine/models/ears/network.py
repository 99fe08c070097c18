"""The listener's network: residual convolutions over time and bands, coarser level by level.

It sees logarithms of the magnitudes in ``spectra``'s bands. Everything is local in time:
:data:`REACH` says how far, so that a long recording can be heard in pieces.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.ears.spectra import BANDS

__all__ = ["FEATURES", "FLOOR", "REACH", "STRIDE", "VECTOR", "EarsNet", "windows_of"]

FLOOR = 1e-4
"""Magnitude that silence counts as: hearing ends about 80 dB below full scale."""
STRIDE = 16
"""Frames from one position of the coarsest level to the next."""
POSITIONS, STEP = 6, 3
"""Positions of a window, and from one window to the next: 0.96 s and 0.48 s."""
FEATURES = 512
VECTOR = 128
"""Dimensions of a text's vector."""
_CHANNELS = (24, 48, 96, 192)
REACH = sum(2**level + (2 * 2 ** (level + 1) if level else 0) for level in range(len(_CHANNELS)))
"""Frames on either side of frame ``16 p`` on which position ``p`` depends."""


class EarsNet(nn.Module):
    """Logits of tags, and vectors among the texts, for each window."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels in _CHANNELS:
            layers += [_convolution(before, channels, 2), nn.ReLU()]
            if before > 1:  # at full resolution it would cost a third of all time
                layers.append(_Residual(channels))
            before = channels
        self.trunk = nn.Sequential(*layers)
        self.mix = nn.Sequential(
            nn.Linear(before * BANDS // STRIDE, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.tags = nn.Linear(FEATURES, labels)
        self.place = nn.Linear(FEATURES, VECTOR)
        self.named = nn.Linear(VECTOR, labels, bias=False)
        """What a place among the texts says for each label: most for those whose names are near."""

    def positions(self, magnitude: Tensor) -> Tensor:
        """Return features ``(batch, positions, features)`` of ``(batch, frames, bands)``.

        There is a position every 16 frames; beyond the ends of what is given, activations are zero.
        """
        x = (torch.log(magnitude + FLOOR) + 4.0) / 3.0
        x = self.trunk(x[:, None].contiguous(memory_format=torch.channels_last))
        x = x.permute(0, 2, 3, 1).flatten(2)  # (batch, positions, bands x channels)
        mixed: Tensor = self.mix(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return mixed

    def judge(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(..., labels)`` and unit vectors ``(..., 128)`` of summed-up windows."""
        placed = nn.functional.normalize(self.place(windows), dim=-1)
        return self.tags(windows) + self.named(placed), placed


def windows_of(positions: Tensor) -> Tensor:
    """Sum up ``(batch, positions, features)``: half of each window's mean, half of its largest.

    Window ``w`` is about the frames ``[48 w, 48 w + 96)``; returns ``(batch, windows, features)``.
    """
    parts = positions.unfold(1, POSITIONS, STEP)
    return 0.5 * (parts.mean(-1) + parts.amax(-1))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(torch.relu(self.first(x)))
        return torch.relu(x + inner)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    )
