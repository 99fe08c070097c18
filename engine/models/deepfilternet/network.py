"""DeepFilterNet3 as a torch network, for a whole stretch of frames at once.

Schröter et al. 2023, "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement". An
encoder reads 32 ERB bands and 96 low bins of a spectrogram; one decoder answers with a gain for
each band, the other with a complex filter over five frames for each low bin. Everything here is
causal: the look-ahead is the caller's (see `separator.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BANDS", "LOW_BINS", "TAPS", "Network"]

BANDS = 32
"""ERB bands."""
LOW_BINS = 96
"""Bins, from 0 Hz on, that are filtered over several frames."""
TAPS = 5
"""Frames that the filter of a low bin spans."""
_CHANNELS = 64
_HIDDEN = 256
_EMBEDDING = 512


class GroupedLinear(nn.Module):
    """A matrix of blocks: each group of inputs makes a group of outputs, and nothing else."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, inputs // groups, outputs // groups))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the last axis of ``(batch, frames, inputs)``."""
        groups, inside, _ = self.weight.shape
        parts = x.reshape(-1, groups, inside).transpose(0, 1)
        return torch.bmm(parts, self.weight).transpose(0, 1).reshape(*x.shape[:-1], -1)


class Separable(nn.Module):
    """A convolution over bands for each channel, then one over channels, rectified.

    With `taps` the first one reads as many frames: the present one and those before it.
    """

    def __init__(self, inputs: int, *, groups: int, taps: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = _CHANNELS
        self.before = taps - 1
        self.apart = nn.Conv2d(
            inputs,
            outputs,
            (taps, width),
            (1, stride),
            (0, width // 2),
            groups=groups,
            bias=False,
        )
        self.across = nn.Conv2d(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, frames, bands)``."""
        x = functional.pad(x, (0, 0, self.before, 0)) if self.before else x
        return functional.relu(self.across(self.apart(x)))


class Widening(nn.Module):
    """The reverse of a `Separable` of stride 2: twice as many bands come out."""

    def __init__(self) -> None:
        super().__init__()
        self.apart = nn.ConvTranspose2d(
            _CHANNELS,
            _CHANNELS,
            (1, 3),
            (1, 2),
            (0, 1),
            output_padding=(0, 1),
            groups=_CHANNELS,
            bias=False,
        )
        self.across = nn.Conv2d(_CHANNELS, _CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, frames, bands)``."""
        return functional.relu(self.across(self.apart(x)))


class Memory(nn.Module):
    """Gated recurrent units over frames, with a grouped layer before them."""

    def __init__(self, groups: int, layers: int) -> None:
        super().__init__()
        self.into = GroupedLinear(_EMBEDDING, _HIDDEN, groups)
        self.units = nn.GRU(_HIDDEN, _HIDDEN, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, frames, 512)`` to ``(batch, frames, 256)``."""
        out: Tensor = self.units(functional.relu(self.into(x)))[0]
        return out


class Encoder(nn.Module):
    """From features to what both decoders need."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = nn.ModuleList(
            [
                _WholeBands(),
                Separable(_CHANNELS, groups=_CHANNELS, taps=1, width=3, stride=2),
                Separable(_CHANNELS, groups=_CHANNELS, taps=1, width=3, stride=2),
                Separable(_CHANNELS, groups=_CHANNELS, taps=1, width=3),
            ]
        )
        self.low = nn.ModuleList(
            [
                Separable(2, groups=2, taps=3, width=3),
                Separable(_CHANNELS, groups=_CHANNELS, taps=1, width=3, stride=2),
            ]
        )
        self.low_out = GroupedLinear(_CHANNELS * LOW_BINS // 2, _EMBEDDING, 32)
        self.memory = Memory(16, 1)
        self.out = GroupedLinear(_HIDDEN, _EMBEDDING, 16)

    def forward(self, bands: Tensor, low: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return the bands at four depths, the low bins, and the embedding of each frame."""
        found = []
        for layer in self.bands:
            bands = layer(bands)
            found.append(bands)
        low = self.low[0](low)
        inside = functional.relu(self.low_out(_by_frame(self.low[1](low))))
        embedding = functional.relu(self.out(self.memory(_by_frame(bands) + inside)))
        return found, low, embedding


class _WholeBands(nn.Module):
    """The first look at the bands: three frames, three bands, all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, _CHANNELS, 3, padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(functional.pad(x, (0, 0, 2, 0))))


class GainDecoder(nn.Module):
    """A gain for each band."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(16, 2)
        self.out = GroupedLinear(_HIDDEN, _EMBEDDING, 16)
        self.passed = nn.ModuleList(
            nn.Conv2d(_CHANNELS, _CHANNELS, 1, groups=_CHANNELS) for _ in range(4)
        )
        self.deepest = Separable(_CHANNELS, groups=_CHANNELS, taps=1, width=3)
        self.widening = nn.ModuleList([Widening(), Widening()])
        self.last = nn.Conv2d(_CHANNELS, 1, (1, 3), padding=(0, 1))

    def forward(self, found: list[Tensor], embedding: Tensor) -> Tensor:
        """Return ``(batch, frames, bands)``, each from 0 to 1."""
        passed = [functional.relu(conv(x)) for conv, x in zip(self.passed, found, strict=True)]
        inside = functional.relu(self.out(self.memory(embedding)))
        batch, channels, frames, bands = found[3].shape
        x = inside.reshape(batch, frames, bands, channels).permute(0, 3, 1, 2)
        x = self.deepest(passed[3] + x)
        x = self.widening[0](passed[2] + x)
        x = self.widening[1](passed[1] + x)
        return torch.sigmoid(self.last(passed[0] + x))[:, 0]


class FilterDecoder(nn.Module):
    """A complex filter over frames for each low bin."""

    def __init__(self) -> None:
        super().__init__()
        parts = 2 * TAPS
        self.memory = Memory(8, 2)
        self.past = GroupedLinear(_EMBEDDING, _HIDDEN, 16)
        self.low = nn.Conv2d(_CHANNELS, parts, (5, 1), groups=2, bias=False)
        self.low_across = nn.Conv2d(parts, parts, 1)
        self.out = GroupedLinear(_HIDDEN, LOW_BINS * parts, 16)

    def forward(self, low: Tensor, embedding: Tensor) -> Tensor:
        """Return ``(batch, frames, low bins, taps, 2)``: real and imaginary parts."""
        inside = self.memory(embedding) + self.past(embedding)
        x = self.low(functional.pad(low, (0, 0, 4, 0)))
        x = functional.relu(self.low_across(x)).permute(0, 2, 3, 1)
        x = x + torch.tanh(self.out(inside)).reshape(x.shape)
        return x.reshape(*x.shape[:3], TAPS, 2)


class Network(nn.Module):
    """The three parts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.gains = GainDecoder()
        self.filters = FilterDecoder()

    def forward(self, bands: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        """Return gains and filters for each frame, from it and those before it.

        Parameters
        ----------
        bands
            ``(batch, frames, 32)``: levels of the ERB bands, normalised.
        low
            ``(batch, 2, frames, 96)``: real and imaginary parts of the low bins, normalised.

        Returns
        -------
        gains
            ``(batch, frames, 32)``, from 0 to 1.
        filters
            ``(batch, frames, 96, 5, 2)``.
        """
        found, inside, embedding = self.encoder(bands[:, None], low)
        return self.gains(found, embedding), self.filters(inside, embedding)


def _by_frame(x: Tensor) -> Tensor:
    """``(batch, channels, frames, bands)`` to ``(batch, frames, bands * channels)``."""
    return x.permute(0, 2, 3, 1).flatten(2)
