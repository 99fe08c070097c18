"""A residual U-Net over (time, frequency) that a condition vector steers through FiLM.

The building blocks of query-conditioned separators in the line of AudioSep (Liu et al. 2023,
"Separate Anything You Describe"): pre-activation residual blocks in which every normalised
activation is shifted, and if wanted scaled, by the condition (FiLM, Perez et al. 2018). What goes
in and what the output means is the business of the models that are built on it.

Everything here is local in time: :meth:`ResUNetConfig.reach` says how far, so that a long clip can
be cut into segments and come out the same. In use (not in training) that saves time as well: the
decoder computes the frames that are wanted and no others, and blocks are computed in tiles of a few
frames, whose activations stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.scarcity import may_be_refused

__all__ = ["Bottom", "Film", "Level", "ResBlock", "ResUNet", "ResUNetConfig"]

NEGATIVE_SLOPE = 0.01
BLOCK_REACH = 2
"""Frames to either side that an undilated residual block looks: its two convolutions are 3 wide."""
TILE = 1 << 19
"""Numbers, about, that a block returns with each tile."""


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

    def tiled(
        self,
        read: Callable[[int, int], Tensor],
        size: tuple[int, int],
        condition: Tensor,
        keep: tuple[int, int] | None = None,
    ) -> Tensor:
        """Do what :meth:`forward` does, tile by tile, for one condition and without gradients.

        Parameters
        ----------
        read
            Returns frames of the input, from one to another: ``(1, inputs, frames, bands)``.
        size
            Frames and bands of the whole input.
        condition
            ``(1, condition)``
        keep
            The frames that are wanted, from one to another; all of them without it.

        """
        scale, offset = (one[:, :, None, None] for one in self.film1.folded(condition))
        # What lies between the convolutions, but for the rectifier, becomes part of the first.
        factor, bias = (one[0] for one in self.film2.folded(condition))
        weight = self.conv1.weight * factor[:, None, None, None]
        reach = self.conv1.dilation[0]
        direct = self.shortcut if isinstance(self.shortcut, nn.Conv2d) else None
        bias2 = direct.bias if direct is not None else None
        frames, bands = size
        start, stop = keep or (0, frames)
        out: Tensor | None = None
        for first, last in pairwise(self._cuts(start, stop, bands)):
            outer = max(0, first - 1 - reach), min(frames, last + 1 + reach)
            inner = max(0, first - 1), min(frames, last + 1)
            # Frames beside a cut lack their neighbours, and are dropped behind each convolution.
            x = read(*outer)
            h = functional.leaky_relu_(torch.addcmul(offset, x, scale), NEGATIVE_SLOPE)
            h = functional.conv2d(h, weight, bias, 1, (reach, 1), (reach, 1))
            h = functional.leaky_relu_(_between(h, outer, inner), NEGATIVE_SLOPE)
            h = functional.conv2d(h, self.conv2.weight, bias2, 1, 1)
            h, x = _between(h, inner, (first, last)), _between(x, outer, (first, last))
            if direct is not None:
                h.permute(0, 2, 3, 1).flatten(0, 2).addmm_(
                    x.permute(0, 2, 3, 1).flatten(0, 2), direct.weight.flatten(1).t()
                )
            else:
                h += x
            if (first, last) == (start, stop):
                return h
            if out is None:
                shape, like = (1, h.shape[1], stop - start, bands), torch.channels_last
                out = torch.empty(shape, dtype=h.dtype, device=h.device, memory_format=like)
            out[:, :, first - start : last - start] = h
        assert out is not None
        return out

    def _cuts(self, start: int, stop: int, bands: int) -> list[int]:
        """Return where tiles of about the same length begin and end."""
        most = max(1, TILE // (self.conv2.out_channels * bands))
        count = -(-(stop - start) // most)
        return [start + (stop - start) * number // count for number in range(count + 1)]


def _between(x: Tensor, held: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Return the ``wanted`` frames, from one to another, out of those that ``x`` holds."""
    return x[:, :, wanted[0] - held[0] : wanted[1] - held[0]]


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

    def tiled(
        self, x: Tensor, begin: int, kept: Tensor, condition: Tensor, keep: tuple[int, int]
    ) -> Tensor:
        """Do what :meth:`forward` does for the frames ``keep``; see :meth:`ResBlock.tiled`.

        ``x`` begins with the coarse frame ``begin``, ``kept`` with the first of all.
        """
        factor = self.up.stride[0]
        finer = self._product if may_be_refused() else self.up
        x = self.film(x, condition)

        def read(first: int, last: int) -> Tensor:
            coarse = first // factor, -(-last // factor)
            fine = finer(_between(x, (begin, 0), coarse))
            fine = _between(fine, (coarse[0] * factor, 0), (first, last))
            return torch.cat([fine, kept[:, :, first:last]], dim=1)

        return self.block.tiled(read, (kept.shape[2], kept.shape[3]), condition, keep)

    def _product(self, x: Tensor) -> Tensor:
        """Do what :attr:`up` does as a matrix product, for where memory may be refused.

        oneDNN's transposed convolution that once found no memory for its code ends the process when
        it is called again. A product raises, and takes a twentieth more of the network's time.
        """
        tall, wide = self.up.stride
        _, inputs, frames, bands = x.shape
        weight = self.up.weight.permute(0, 2, 3, 1).reshape(inputs, -1)
        patches = x.permute(0, 2, 3, 1).flatten(0, 2) @ weight  # they do not overlap
        patches = patches.view(frames, bands, tall, wide, -1).transpose(1, 2)
        return patches.reshape(1, frames * tall, bands * wide, -1).permute(0, 3, 1, 2)


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
        tiled = self._tiled(condition)
        if not tiled:
            x = self.first(x)
        kept = []
        for number, (level, block) in enumerate(zip(self.config.levels, self.encoder, strict=True)):
            x = _applied(block, x, condition, self.first if number == 0 else None, tiled=tiled)
            kept.append(x)
            x = functional.avg_pool2d(x, level.pool)
        for block in self.bottom:
            x = _applied(block, x, condition, tiled=tiled)
        return x, kept

    def decode(
        self,
        x: Tensor,
        kept: list[Tensor],
        condition: Tensor,
        keep: tuple[int, int] | None = None,
    ) -> Tensor:
        """Map what :meth:`encode` returned to ``(batch, outputs, frames, bands)``.

        With ``keep`` those are the frames from one to another, and no others. ``kept`` is empty
        afterwards, to let go of what was used.
        """
        frames = kept[0].shape[2]
        wanted = keep or (0, frames)
        if not self._tiled(condition):
            for block in self.decoder:
                x = block(x, kept.pop(), condition)
            out: Tensor = self.last(_between(x, (0, frames), wanted))
            return out
        spans = [wanted]
        for level in self.config.levels:
            # what a level's block looks at, in frames of the next coarser one
            first, last = max(0, spans[-1][0] - BLOCK_REACH), spans[-1][1] + BLOCK_REACH
            coarse = -(-frames // level.pool[0])
            spans.append((first // level.pool[0], min(-(-last // level.pool[0]), coarse)))
            frames = coarse
        begin = 0
        for block, span in zip(self.decoder, reversed(spans[:-1]), strict=True):
            assert isinstance(block, DecoderBlock)
            x = block.tiled(x, begin, kept.pop(), condition, span)
            begin = span[0]
        found: Tensor = self.last(x)
        return found

    def _tiled(self, condition: Tensor) -> bool:
        return not (self.training or torch.is_grad_enabled() or len(condition) > 1)


def _applied(
    block: nn.Module, x: Tensor, condition: Tensor, first: nn.Module | None = None, *, tiled: bool
) -> Tensor:
    """Return what a block makes of ``x``; where it is tiled, of what ``first`` makes of that."""
    assert isinstance(block, ResBlock)
    if not tiled:
        out: Tensor = block(x, condition)
        return out

    def read(start: int, stop: int) -> Tensor:
        part = x[:, :, start:stop]
        return part if first is None else first(part)

    return block.tiled(read, (x.shape[2], x.shape[3]), condition)
