"""The middle of the network: two sequences, spectrum and waveform, that attend to each other.

Layers 1, 3, ... of either sequence attend to the other, the rest to their own. Module names are
those of the published checkpoint.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["WIDTH", "CrossTransformer", "Scale"]

WIDTH = 512
_LAYERS, _HEADS, _HIDDEN = 5, 8, 2048
_PERIOD = 10_000.0


class Scale(nn.Module):
    """A factor for each channel, of `(..., channels, time)` or of `(..., channels)`."""

    def __init__(self, channels: int, *, last: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self._last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, scaled."""
        return x * (self.scale if self._last else self.scale[:, None])


class _Layer(nn.Module):
    """Attention and a feed-forward part, each behind a norm, scaled, and added to what came in."""

    def __init__(self, *, cross: bool) -> None:
        super().__init__()
        attention = nn.MultiheadAttention(WIDTH, _HEADS, batch_first=True)
        if cross:
            self.cross_attn = attention
            self.norm3 = nn.LayerNorm(WIDTH)
        else:
            self.self_attn = attention
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.linear1 = nn.Linear(WIDTH, _HIDDEN)
        self.linear2 = nn.Linear(_HIDDEN, WIDTH)
        self.gamma_1 = Scale(WIDTH, last=True)
        self.gamma_2 = Scale(WIDTH, last=True)
        self.norm_out = nn.GroupNorm(1, WIDTH)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return `x`, `(batch, tokens, 512)`, after looking at `other`, or at itself."""
        asked = self.norm1(x)
        if other is None:
            heard, _ = self.self_attn(asked, asked, asked, need_weights=False)
            before = self.norm2
        else:
            there = self.norm2(other)
            heard, _ = self.cross_attn(asked, there, there, need_weights=False)
            before = self.norm3
        x = x + self.gamma_1(heard)
        x = x + self.gamma_2(self.linear2(functional.gelu(self.linear1(before(x)))))
        out: Tensor = self.norm_out(x.transpose(1, 2)).transpose(1, 2)
        return out


class CrossTransformer(nn.Module):
    """Five layers for either sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(WIDTH)
        self.norm_in_t = nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(_Layer(cross=n % 2 == 1) for n in range(_LAYERS))
        self.layers_t = nn.ModuleList(_Layer(cross=n % 2 == 1) for n in range(_LAYERS))

    def forward(self, spectrum: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, of the shapes that they have.

        `spectrum` is `(batch, 512, bands, frames)`, `wave` is `(batch, 512, steps)`.
        """
        bands, frames = spectrum.shape[2:]
        places = _in_plane(bands, frames, spectrum.device)
        x = self.norm_in(spectrum.permute(0, 3, 2, 1).flatten(1, 2)) + places
        y = self.norm_in_t(wave.transpose(1, 2)) + _in_line(wave.shape[2], wave.device)
        for number, (first, second) in enumerate(zip(self.layers, self.layers_t, strict=True)):
            if number % 2:
                x, y = first(x, y), second(y, x)
            else:
                x, y = first(x), second(y)
        return torch.unflatten(x, 1, (frames, bands)).permute(0, 3, 2, 1), y.transpose(1, 2)


def _in_line(steps: int, device: torch.device) -> Tensor:
    """Return where each step is: `(steps, 512)`, cosines, then sines, of ever slower waves."""
    half = WIDTH // 2
    speeds = _PERIOD ** (torch.arange(half, device=device) / (half - 1))
    phase = torch.arange(steps, device=device)[:, None] / speeds
    return torch.cat((phase.cos(), phase.sin()), dim=1)


def _in_plane(bands: int, frames: int, device: torch.device) -> Tensor:
    """Return where each token is, frame by frame: `(frames * bands, 512)`.

    The first half of the channels says in which frame, the second in which band: sines and cosines
    in turn.
    """
    half = WIDTH // 2
    speeds = torch.exp(torch.arange(0, half, 2, device=device) * (-math.log(_PERIOD) / half))

    def waves(count: int) -> Tensor:
        phase = torch.arange(count, device=device)[:, None] * speeds
        return torch.stack((phase.sin(), phase.cos()), dim=2).flatten(1)

    in_time = waves(frames)[:, None].expand(-1, bands, -1)
    in_band = waves(bands)[None].expand(frames, -1, -1)
    return torch.cat((in_time, in_band), dim=2).flatten(0, 1)
