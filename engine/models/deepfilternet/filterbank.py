"""The frames of DeepFilterNet3: transforms, features, and what gains and filters do to them.

All of it is published with the network (Schröter et al. 2022 and 2023, and `libDF`): frames of
20 ms, 10 ms apart, under the window of Vorbis, and features that running means normalise. Frame
`t` lies on samples `[(t - 1) * HOP, (t + 1) * HOP)`, and what comes back lies where it came from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.signal import lfilter

from engine.models.base import ComplexArray, FloatArray
from engine.models.deepfilternet.network import BANDS, LOW_BINS, TAPS

__all__ = [
    "HOP",
    "LOOKAHEAD",
    "SAMPLE_RATE",
    "analysed",
    "band_features",
    "enhanced",
    "low_features",
    "synthesised",
]

SAMPLE_RATE = 48_000
HOP = 480
"""Samples from one frame to the next, half a frame."""
LOOKAHEAD = 2
"""Frames after the one that they are for which gains and filters depend on."""
_WIDTH = 2 * HOP
_BINS = HOP + 1
_LEAST_BINS = 2  # of a band
_KEPT = 0.99  # of a running mean, from one frame to the next: a time constant of one second
_FLOOR = 1e-10  # power below which a band counts as empty
_LEAST_MEAN = 1e-12  # of a low bin's magnitude, where silence has used it up
_FIRST_LEVELS = np.linspace(-60.0, -90.0, BANDS)  # dB, where the running means begin
_FIRST_MEANS = np.linspace(1e-3, 1e-4, LOW_BINS)
_STEP = 40.0  # dB that count as 1

_Floats = npt.NDArray[np.float64]


def _vorbis() -> FloatArray:
    """Return the window whose square adds up to 1 with itself, half a frame on."""
    rising = np.sin(np.pi * (np.arange(_WIDTH) + 0.5) / _WIDTH)
    return np.sin(np.pi / 2 * rising**2).astype(np.float32)


def _band_edges() -> npt.NDArray[np.int64]:
    """Return the first bin of each band, and the number of bins.

    The bands are of equal width on the scale of equivalent rectangular bandwidths (Glasberg and
    Moore 1990), rounded to whole bins. Where that would leave fewer than two, a band takes two,
    and those above it give them back as far as they can.
    """
    scale, width = 9.265, 24.7
    highest = scale * np.log1p(SAMPLE_RATE / 2 / (width * scale))
    upper = width * scale * np.expm1(np.arange(1, BANDS + 1) * highest / BANDS / scale)
    ideal = np.rint(upper * _WIDTH / SAMPLE_RATE).astype(np.int64)
    edges, borrowed = [0], 0
    for before, here in zip([0, *ideal[:-1]], ideal, strict=True):
        bins = here - before - borrowed
        borrowed = max(0, _LEAST_BINS - bins)
        edges.append(edges[-1] + max(bins, _LEAST_BINS))
    edges[-1] = _BINS
    return np.array(edges)


_WINDOW = _vorbis()
_EDGES = _band_edges()


def analysed(samples: FloatArray) -> ComplexArray:
    """Return the spectrogram of whole hops, `(frames, bins)`, with `frames` the number of hops.

    Before the samples there is silence.
    """
    hops = np.concatenate([np.zeros(HOP, np.float32), samples]).reshape(-1, HOP)
    frames = np.concatenate([hops[:-1], hops[1:]], axis=1)
    spectrum: ComplexArray = fft.rfft(frames * _WINDOW) / np.float32(_WIDTH)
    return spectrum


def synthesised(spectrum: ComplexArray) -> FloatArray:
    """Return the samples of a spectrogram `(frames, bins)`: `(frames - 1) * HOP` of them."""
    frames = fft.irfft(spectrum, _WIDTH) * (_WINDOW * np.float32(_WIDTH))
    samples: FloatArray = (frames[:-1, HOP:] + frames[1:, :HOP]).reshape(-1)
    return samples


def band_features(spectrum: ComplexArray) -> FloatArray:
    """Return how far each band's level is from its running mean: `(frames, BANDS)`."""
    power = spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2
    mean = np.add.reduceat(power, _EDGES[:-1], axis=1) / np.diff(_EDGES)
    level = 10 * np.log10(mean + _FLOOR)
    return ((level - _running_mean(level, _FIRST_LEVELS)) / _STEP).astype(np.float32)


def low_features(spectrum: ComplexArray) -> FloatArray:
    """Return the low bins by the root of their running mean magnitude: `(2, frames, LOW_BINS)`."""
    low = spectrum[:, :LOW_BINS]
    mean = _running_mean(np.abs(low).astype(np.float64), _FIRST_MEANS)
    scaled = low / np.sqrt(np.maximum(mean, _LEAST_MEAN))
    return np.stack([scaled.real, scaled.imag]).astype(np.float32)


def _running_mean(values: _Floats, first: _Floats) -> _Floats:
    """Return the exponential mean of each column up to each row, which begins at `first`."""
    mean, _ = lfilter([1 - _KEPT], [1, -_KEPT], values, axis=0, zi=_KEPT * first[None])
    return np.asarray(mean, np.float64)


def enhanced(spectrum: ComplexArray, gains: FloatArray, filters: FloatArray) -> ComplexArray:
    """Apply gains and filters to a spectrogram.

    Parameters
    ----------
    spectrum
        `(frames, bins)`.
    gains
        `(frames, BANDS)`, for the frame `LOOKAHEAD` before.
    filters
        `(frames, LOW_BINS, TAPS, 2)`, for the same frame; the last tap is on the present one.

    Returns
    -------
    spectrum
        `(frames - LOOKAHEAD, bins)`.

    """
    count = len(spectrum) - LOOKAHEAD
    out = spectrum[:count] * np.repeat(gains[LOOKAHEAD:], np.diff(_EDGES), axis=1)
    taps = filters[LOOKAHEAD:, :, :, 0] + 1j * filters[LOOKAHEAD:, :, :, 1]
    before = TAPS - 1 - LOOKAHEAD
    low = np.pad(spectrum[:, :LOW_BINS], ((before, 0), (0, 0)))
    out[:, :LOW_BINS] = sum(low[tap : tap + count] * taps[:, :, tap] for tap in range(TAPS))
    return out
