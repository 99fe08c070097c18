"""DeepFilterNet3 as a torch network, which goes on from one stretch of frames to the next.

Schröter et al. 2023, "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement". An
encoder reads 32 ERB bands and 96 low bins of a spectrogram; one decoder answers with a gain for
each band, the other with a complex filter over five frames for each low bin. Everything here is
causal: the look-ahead is the caller's (see `stream.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BANDS", "LOW_BINS", "TAPS", "Network", "Past"]

BANDS = 32
"""ERB bands."""
LOW_BINS = 96
"""Bins, from 0 Hz on, that are filtered over several frames."""
TAPS = 5
"""Frames that the filter of a low bin spans."""
_CHANNELS = 64
_HIDDEN = 256
_EMBEDDING = 512
_FIRST_TAPS, _LOW_TAPS = 3, 5  # frames that the first layers, and that of the filters, span


class Past(NamedTuple):
    """What a network keeps of the frames that it saw, for one channel."""

    bands: Tensor
    low: Tensor
    inside: Tensor
    units: tuple[Tensor, Tensor, Tensor]
    """Of the encoder, the gains and the filters: ``(layers, 1, 256)``."""

    @classmethod
    def none(cls) -> Past:
        """Return the past of a clip's first frame: nothing but zeros."""
        before = _FIRST_TAPS - 1
        return cls(
            torch.zeros(1, 1, before, BANDS),
            torch.zeros(1, 2, before, LOW_BINS),
            torch.zeros(1, _CHANNELS, _LOW_TAPS - 1, LOW_BINS),
            (
                torch.zeros(1, 1, _HIDDEN),
                torch.zeros(2, 1, _HIDDEN),
                torch.zeros(2, 1, _HIDDEN),
            ),
        )


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

    The first one spans `taps` frames; all but the first of them that come in come out.
    """

    def __init__(self, inputs: int, *, taps: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.apart = nn.Conv2d(
            inputs, _CHANNELS, (taps, 3), (1, stride), (0, 1), groups=inputs, bias=False
        )
        self.across = nn.Conv2d(_CHANNELS, _CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, frames, bands)``."""
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

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, frames, 512)`` to ``(batch, frames, 256)``; returns the new past, too."""
        out: tuple[Tensor, Tensor] = self.units(functional.relu(self.into(x)), past)
        return out


class Encoder(nn.Module):
    """From features to what both decoders need."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(1, _CHANNELS, (_FIRST_TAPS, 3), padding=(0, 1)), nn.ReLU()),
                Separable(_CHANNELS, stride=2),
                Separable(_CHANNELS, stride=2),
                Separable(_CHANNELS),
            ]
        )
        self.low = nn.ModuleList([Separable(2, taps=_FIRST_TAPS), Separable(_CHANNELS, stride=2)])
        self.low_out = GroupedLinear(_CHANNELS * LOW_BINS // 2, _EMBEDDING, 32)
        self.memory = Memory(16, 1)
        self.out = GroupedLinear(_HIDDEN, _EMBEDDING, 16)

    def forward(
        self, bands: Tensor, low: Tensor, past: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Return bands at four depths, low bins, each frame's embedding, and the new past."""
        found = []
        for layer in self.bands:
            bands = layer(bands)
            found.append(bands)
        low = self.low[0](low)
        inside = functional.relu(self.low_out(_by_frame(self.low[1](low))))
        heard, past = self.memory(_by_frame(bands) + inside, past)
        return found, low, functional.relu(self.out(heard)), past


class GainDecoder(nn.Module):
    """A gain for each band."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(16, 2)
        self.out = GroupedLinear(_HIDDEN, _EMBEDDING, 16)
        self.passed = nn.ModuleList(
            nn.Conv2d(_CHANNELS, _CHANNELS, 1, groups=_CHANNELS) for _ in range(4)
        )
        self.deepest = Separable(_CHANNELS)
        self.widening = nn.ModuleList([Widening(), Widening()])
        self.last = nn.Conv2d(_CHANNELS, 1, (1, 3), padding=(0, 1))

    def forward(
        self, found: list[Tensor], embedding: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return ``(batch, frames, bands)``, each from 0 to 1, and the new past."""
        passed = [functional.relu(conv(x)) for conv, x in zip(self.passed, found, strict=True)]
        heard, past = self.memory(embedding, past)
        inside = functional.relu(self.out(heard))
        batch, channels, frames, bands = found[3].shape
        x = inside.reshape(batch, frames, bands, channels).permute(0, 3, 1, 2)
        x = self.deepest(passed[3] + x)
        x = self.widening[0](passed[2] + x)
        x = self.widening[1](passed[1] + x)
        return torch.sigmoid(self.last(passed[0] + x))[:, 0], past


class FilterDecoder(nn.Module):
    """A complex filter over frames for each low bin."""

    def __init__(self) -> None:
        super().__init__()
        parts = 2 * TAPS
        self.memory = Memory(8, 2)
        self.skip = GroupedLinear(_EMBEDDING, _HIDDEN, 16)
        self.low = nn.Conv2d(_CHANNELS, parts, (_LOW_TAPS, 1), groups=2, bias=False)
        self.low_across = nn.Conv2d(parts, parts, 1)
        self.out = GroupedLinear(_HIDDEN, LOW_BINS * parts, 16)

    def forward(self, low: Tensor, embedding: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(batch, frames, low bins, taps, 2)``, real and imaginary, and the new past."""
        heard, past = self.memory(embedding, past)
        x = functional.relu(self.low_across(self.low(low))).permute(0, 2, 3, 1)
        x = x + torch.tanh(self.out(heard + self.skip(embedding))).reshape(x.shape)
        return x.reshape(*x.shape[:3], TAPS, 2), past


class Network(nn.Module):
    """The three parts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.gains = GainDecoder()
        self.filters = FilterDecoder()

    def forward(self, bands: Tensor, low: Tensor, past: Past) -> tuple[Tensor, Tensor, Past]:
        """Return gains and filters for each frame, from it and those before it.

        Parameters
        ----------
        bands
            ``(frames, 32)``: levels of the ERB bands, normalised.
        low
            ``(2, frames, 96)``: real and imaginary parts of the low bins, normalised.
        past
            What was returned with the frames before.

        Returns
        -------
        gains
            ``(frames, 32)``, from 0 to 1.
        filters
            ``(frames, 96, 5, 2)``.
        past
            For the frames after these.

        """
        bands = torch.cat([past.bands, bands[None, None]], dim=2)
        low = torch.cat([past.low, low[None]], dim=2)
        hearing, weighing, filtering = past.units
        found, inside, embedding, hearing = self.encoder(bands, low, hearing)
        inside = torch.cat([past.inside, inside], dim=2)
        gains, weighing = self.gains(found, embedding, weighing)
        filters, filtering = self.filters(inside, embedding, filtering)
        kept = Past(
            *(
                x[:, :, x.shape[2] - before.shape[2] :].clone()
                for x, before in ((bands, past.bands), (low, past.low), (inside, past.inside))
            ),
            (hearing, weighing, filtering),
        )
        return gains[0], filters[0], kept


def _by_frame(x: Tensor) -> Tensor:
    """``(batch, channels, frames, bands)`` to ``(batch, frames, bands * channels)``."""
    return x.permute(0, 2, 3, 1).flatten(2)
