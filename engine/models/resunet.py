"""A residual U-Net over (time, frequency) that a condition vector steers through FiLM.

The building blocks of query-conditioned separators in the line of AudioSep (Liu et al. 2023,
"Separate Anything You Describe"): pre-activation residual blocks in which every normalised
activation is shifted, and if wanted scaled, by the condition (FiLM, Perez et al. 2018). What goes
in and what the output means is the business of the models that are built on it.

Everything here is local in time: :meth:`ResUNetConfig.reach` says how far, so that a long clip can
be cut into segments and come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Bottom", "Film", "Level", "ResBlock", "ResUNet", "ResUNetConfig"]

NEGATIVE_SLOPE = 0.01
BLOCK_REACH = 2
"""Frames to either side that an undilated residual block looks: its two convolutions are 3 wide."""


@dataclass(frozen=True)
class Level:
    """One encoder level and the decoder level that mirrors it."""

    channels: int
    pool: tuple[int, int]
    """Factors by which (frames, bands) shrink below this level."""


@dataclass(frozen=True)
class Bottom:
    """One residual block at the coarsest resolution."""

    channels: int
    dilation: int = 1
    """Frames of that resolution between the taps of the block's first convolution."""


@dataclass(frozen=True)
class ResUNetConfig:
    """Shape of a :class:`ResUNet`."""

    inputs: int
    """Channels going in."""
    outputs: int
    """Channels coming out."""
    condition: int
    """Length of the condition vector."""
    levels: tuple[Level, ...]
    bottom: tuple[Bottom, ...]
    gain: bool = True
    """Whether the condition scales activations, beside shifting them."""

    def reach(self) -> int:
        """Return how many input frames beyond a block can change the block's output.

        A block is :attr:`time_block` frames, counted from the clip's start. Follows the interval of
        frames that one block depends on from the output, layer by layer, back to the input.
        """
        start, stop = 0, self.time_block
        skipped = []
        for level in self.levels:
            start, stop = start - BLOCK_REACH, stop + BLOCK_REACH
            skipped.append((start, stop))
            start, stop = start // level.pool[0], -(-stop // level.pool[0])
        for item in reversed(self.bottom):
            reach = item.dilation + BLOCK_REACH - 1
            start, stop = start - reach, stop + reach
        for level in reversed(self.levels):
            kept_start, kept_stop = skipped.pop()
            start = min(start * level.pool[0], kept_start) - BLOCK_REACH
            stop = max(stop * level.pool[0], kept_stop) + BLOCK_REACH
        return max(-start, stop - self.time_block)

    @property
    def time_block(self) -> int:
        """Frames that the coarsest resolution takes for one."""
        block = 1
        for level in self.levels:
            block *= level.pool[0]
        return block

    @property
    def band_block(self) -> int:
        """Bands that the coarsest resolution takes for one."""
        block = 1
        for level in self.levels:
            block *= level.pool[1]
        return block


class Film(nn.Module):
    """Batch normalisation whose result the condition shifts and, if wanted, scales."""

    def __init__(self, channels: int, condition: int, gain: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.shift = nn.Linear(condition, channels)
        self.gain = nn.Linear(condition, channels) if gain else None
        for layer in (self.shift, self.gain):
            if layer is not None:
                nn.init.normal_(layer.weight, std=0.05)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Modulate ``(batch, channels, frames, bands)`` by ``(batch, condition)``, then rectify."""
        if self.training:
            x = self.norm(x)
            if self.gain is not None:
                x = x * (1 + self.gain(condition))[:, :, None, None]
            x = x + self.shift(condition)[:, :, None, None]
            return functional.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)
        scale, offset = self.folded(condition)
        x = torch.addcmul(offset[:, :, None, None], x, scale[:, :, None, None])
        return functional.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)

    def folded(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalisation and modulation as one factor and one offset a channel."""
        norm = self.norm
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        offset = norm.bias - mean * scale
        shift = self.shift(condition)
        if self.gain is None:
            return scale.expand_as(shift), offset + shift
        gain = 1 + self.gain(condition)
        return scale * gain, offset * gain + shift


class ResBlock(nn.Module):
    """FiLM, rectifier, 3x3 convolution; twice; beside a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, condition: int, gain: bool, dilation: int = 1
    ) -> None:
        super().__init__()
        self.film1 = Film(inputs, condition, gain)
        self.conv1 = nn.Conv2d(
            inputs, outputs, 3, padding=(dilation, 1), dilation=(dilation, 1), bias=False
        )
        self.film2 = Film(outputs, condition, gain)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map ``(batch, inputs, frames, bands)`` to ``(batch, outputs, frames, bands)``."""
        h = self.conv1(self.film1(x, condition))
        h = self.conv2(self.film2(h, condition))
        out: Tensor = self.shortcut(x) + h
        return out


class DecoderBlock(nn.Module):
    """Up to the resolution of the encoder level, joined with what that level kept."""

    def __init__(self, inputs: int, level: Level, condition: int, gain: bool) -> None:
        super().__init__()
        self.film = Film(inputs, condition, gain)
        self.up = nn.ConvTranspose2d(inputs, level.channels, level.pool, level.pool, bias=False)
        self.block = ResBlock(2 * level.channels, level.channels, condition, gain)

    def forward(self, x: Tensor, kept: Tensor, condition: Tensor) -> Tensor:
        """Map the coarse ``x`` and the ``kept`` fine activations to fine activations."""
        x = self.up(self.film(x, condition))
        out: Tensor = self.block(torch.cat([x, kept], dim=1), condition)
        return out


class ResUNet(nn.Module):
    """Encoder, bottom, decoder; frames and bands must be multiples of the config's blocks."""

    def __init__(self, config: ResUNetConfig) -> None:
        super().__init__()
        self.config = config
        condition, gain = config.condition, config.gain
        width = config.levels[0].channels
        self.first = nn.Conv2d(config.inputs, width, 1)
        self.encoder = nn.ModuleList()
        for level in config.levels:
            self.encoder.append(ResBlock(width, level.channels, condition, gain))
            width = level.channels
        self.bottom = nn.ModuleList()
        for item in config.bottom:
            self.bottom.append(ResBlock(width, item.channels, condition, gain, item.dilation))
            width = item.channels
        self.decoder = nn.ModuleList()
        for level in reversed(config.levels):
            self.decoder.append(DecoderBlock(width, level, condition, gain))
            width = level.channels
        self.last = nn.Conv2d(width, config.outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map ``(batch, inputs, frames, bands)`` to ``(batch, outputs, frames, bands)``."""
        return self.decode(*self.encode(x, condition), condition)

    def encode(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the coarsest activations, and those that each level keeps for the decoder."""
        x = self.first(x)
        kept = []
        for level, block in zip(self.config.levels, self.encoder, strict=True):
            x = block(x, condition)
            kept.append(x)
            x = functional.avg_pool2d(x, level.pool)
        for block in self.bottom:
            x = block(x, condition)
        return x, kept

    def decode(self, x: Tensor, kept: list[Tensor], condition: Tensor) -> Tensor:
        """Map what :meth:`encode` returned to ``(batch, outputs, frames, bands)``."""
        for block, skipped in zip(self.decoder, reversed(kept), strict=True):
            x = block(x, skipped, condition)
        out: Tensor = self.last(x)
        return out
