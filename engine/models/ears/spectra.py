"""What the listener hears of a sound: magnitudes in 64 bands, a hundred times a second.

The bands are those of the AudioSet models (25 ms Hann windows every 10 ms at 16 kHz, 125 to 7500 Hz
on the mel scale of HTK), so that a teacher who knows AudioSet can be given the same.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    from engine.models.base import FloatArray

__all__ = ["BANDS", "FRAME", "HOP", "SAMPLE_RATE", "band_weights", "frames_in", "magnitudes"]

SAMPLE_RATE = 16000
FRAME = 400
"""Samples of a frame."""
HOP = 160
"""Samples from one frame to the next."""
BANDS = 64
_FFT = 512
_LOWEST, _HIGHEST = 125.0, 7500.0


def frames_in(samples: int) -> int:
    """Return how many whole frames lie in so many samples."""
    return max(0, 1 + (samples - FRAME) // HOP)


@cache
def band_weights() -> FloatArray:
    """Return how much each bin of the transform counts in each band, ``(257, 64)``.

    Triangles of equal width on the mel scale, 1127 ln(1 + f / 700), with their peaks at 1; the bin
    at 0 Hz counts in none.
    """
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)[:, None]
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), BANDS + 2)
    rising = (_mel(bins) - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - _mel(bins)) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0
    return np.asarray(weights, np.float32)


def magnitudes(samples: FloatArray) -> FloatArray:
    """Return the magnitude in each band of ``(channels, samples)`` at 16 kHz: ``(frames, 64)``.

    Frame ``t`` covers the samples ``[160 t, 160 t + 400)``. Channels are added by their power, so
    that what is in opposite phase on two of them does not vanish.
    """
    count = frames_in(samples.shape[1])
    if not count:
        return np.zeros((0, BANDS), np.float32)
    window = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME))
    total = np.zeros((count, _FFT // 2 + 1), np.float32)
    for channel in np.asarray(samples, np.float32):
        frames = np.lib.stride_tricks.sliding_window_view(channel, FRAME)[::HOP][:count]
        magnitude = np.abs(scipy.fft.rfft(frames * window, _FFT, axis=1))
        if len(samples) == 1:
            total = magnitude
        else:
            total += np.square(magnitude) / np.float32(len(samples))
    if len(samples) > 1:
        total = np.sqrt(total)
    return np.asarray(total @ band_weights(), np.float32)


def _mel(
    hertz: float | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))
