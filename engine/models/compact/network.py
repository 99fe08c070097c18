"""The network of ``compact``: magnitudes in, one mask a query out.

Bins are gathered into bands (every bin at the bottom, ever wider ones towards the top), logarithms
of the bands go through a conditioned U-Net, and the band mask is spread over the bins again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.resunet import Bottom, Level, ResUNet, ResUNetConfig

SAMPLE_RATE = 32000
N_FFT = 2048
HOP = 640
BINS = N_FFT // 2 + 1
BANDS = 256
LINEAR_BANDS = 128
"""Bands at the bottom that hold one bin each."""
VECTOR = 128
"""Length of a query's vector."""
FLOOR = 3e-4
"""Magnitudes below this share of the clip's level are as good as nothing."""
WINDOW_GAIN = float(np.sqrt(np.square(np.hanning(N_FFT + 1)[:-1]).sum()))
"""RMS magnitude of white noise of RMS 1."""

DEFAULT_NET = ResUNetConfig(
    inputs=2,
    outputs=1,
    condition=128,
    levels=(
        Level(16, (2, 2)),
        Level(24, (2, 2)),
        Level(48, (2, 2)),
        Level(64, (1, 2)),
        Level(96, (1, 2)),
    ),
    bottom=(Bottom(160, 1), Bottom(160, 2), Bottom(160, 4)),
)


def band_matrix() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return triangular bands as weights, shape ``(BANDS, BINS)``.

    The centres are every bin up to ``LINEAR_BANDS`` and spread evenly in log frequency above; the
    columns of the matrix sum to 1.
    """
    low = np.arange(LINEAR_BANDS, dtype=np.float64)
    ratio = BINS - 1
    high = np.geomspace(LINEAR_BANDS, ratio, BANDS - LINEAR_BANDS)
    high = np.maximum(high, LINEAR_BANDS + np.arange(high.size))
    centres = np.concatenate([low, np.minimum(high, ratio)])
    bins = np.arange(BINS)
    matrix = np.zeros((BANDS, BINS), np.float32)
    upper = np.clip(np.searchsorted(centres, bins, side="left"), 1, BANDS - 1)
    lower = upper - 1
    share = (bins - centres[lower]) / (centres[upper] - centres[lower])
    matrix[lower, bins] += (1 - share).astype(np.float32)
    matrix[upper, bins] += share.astype(np.float32)
    return matrix


@dataclass(frozen=True)
class CompactConfig:
    """Everything that decides which weights fit."""

    net: ResUNetConfig = DEFAULT_NET


class CompactNet(nn.Module):
    """See the module's docstring."""

    gather: Tensor
    spread: Tensor
    height: Tensor

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config or CompactConfig()
        matrix = torch.from_numpy(band_matrix())
        self.register_buffer("gather", (matrix / matrix.sum(1, keepdim=True)).t(), persistent=False)
        self.register_buffer("spread", matrix, persistent=False)
        height = torch.linspace(-1, 1, BANDS)[None, None, None, :]
        self.register_buffer("height", height, persistent=False)
        condition = self.config.net.condition
        self.query = nn.Sequential(
            nn.Linear(VECTOR, condition), nn.SiLU(), nn.Linear(condition, condition), nn.SiLU()
        )
        self.band_norm = nn.BatchNorm1d(BANDS)
        self.unet = ResUNet(self.config.net)
        self.against = nn.Linear(VECTOR, condition, bias=False)
        nn.init.zeros_(self.against.weight)

    def features(self, magnitude: Tensor, rms: Tensor) -> Tensor:
        """Return what the U-Net sees, ``(batch, 2, frames, BANDS)``; frames padded to whole blocks.

        ``magnitude`` is ``(batch, frames, BINS)``, ``rms`` the clip's RMS, ``(batch,)``.
        """
        level = WINDOW_GAIN * rms.clamp_min(1e-7)[:, None, None]
        bands = torch.log(torch.matmul(magnitude, self.gather) / level + FLOOR)
        bands = self.band_norm(bands.transpose(1, 2)).transpose(1, 2)
        x = torch.stack([bands, self.height[:, 0].expand_as(bands)], dim=1)
        frames = x.shape[2]
        x = functional.pad(x, (0, 0, 0, -frames % self.config.net.time_block))
        return x.contiguous(memory_format=torch.channels_last)

    def condition(self, vectors: Tensor) -> Tensor:
        """Return what steers the U-Net, ``(batch, condition)``.

        ``vectors`` is ``(batch, VECTOR)``, or ``(batch, 2 * VECTOR)``: what to hear, and then what
        the target must not hold (all zeros: nothing named).
        """
        x = self.query[0](vectors[:, :VECTOR] * VECTOR**0.5)
        if vectors.shape[1] > VECTOR:
            x = x + self.against(vectors[:, VECTOR:] * VECTOR**0.5)
        out: Tensor = self.query[1:](x)
        return out

    def forward(self, magnitude: Tensor, vectors: Tensor, rms: Tensor) -> Tensor:
        """Return masks between 0 and 1, ``(batch, frames, BINS)``.

        ``magnitude`` is ``(batch, frames, BINS)``, ``vectors`` as in `condition`, ``rms`` the RMS
        of each whole clip, ``(batch,)``.
        """
        return self.analyse(magnitude, vectors, rms)[0]

    def analyse(
        self,
        magnitude: Tensor,
        vectors: Tensor,
        rms: Tensor,
        keep: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the masks of :meth:`forward` and what the network heard to make them.

        The latter are the coarsest activations, ``(batch, channels, blocks, bands)``; a block is
        as many frames as the U-Net's ``time_block``. With ``keep`` the masks are those of the
        frames from one to another, and of no others.
        """
        condition = self.condition(vectors)
        heard, kept = self.unet.encode(self.features(magnitude, rms), condition)
        x = self.unet.decode(heard, kept, condition, keep or (0, magnitude.shape[1]))
        return torch.matmul(torch.sigmoid(x[:, 0].float()), self.spread), heard

    def listen(self, magnitude: Tensor, rms: Tensor) -> Tensor:
        """Return the network's activations without a query; shaped as in `analyse`."""
        nothing = torch.zeros(len(magnitude), VECTOR, device=magnitude.device)
        condition = self.condition(nothing)
        return self.unet.encode(self.features(magnitude, rms), condition)[0]
