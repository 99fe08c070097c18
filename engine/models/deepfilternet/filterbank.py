"""The frames of DeepFilterNet3: transforms, features, and what gains and filters do to them.

All of it is published with the network (Schröter et al. 2022 and 2023, and `libDF`): frames of
20 ms, 10 ms apart, under the window of Vorbis, and features that running means normalise. A
recording comes in stretches of whole hops; what each function must know of the stretch before, it
takes, and returns for the next.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.signal import lfilter

from engine.models.base import ComplexArray, FloatArray
from engine.models.deepfilternet.network import BANDS, LOW_BINS, TAPS

__all__ = [
    "BINS",
    "FIRST_LEVELS",
    "FIRST_MAGNITUDES",
    "HOP",
    "LOOKAHEAD",
    "SAMPLE_RATE",
    "Doubles",
    "analysed",
    "band_features",
    "filtered",
    "low_features",
    "synthesised",
]

Doubles = npt.NDArray[np.float64]

SAMPLE_RATE = 48_000
HOP = 480
"""Samples from one frame to the next, half a frame."""
BINS = HOP + 1
LOOKAHEAD = 2
"""Frames after the one that they are for which gains and filters depend on."""
_WIDTH = 2 * HOP
_LEAST_BINS = 2  # of a band
_KEPT = 0.99  # of a running mean, from one frame to the next: a time constant of one second
_FLOOR = 1e-10  # power below which a band counts as empty
_LEAST_MEAN = 1e-12  # of a low bin's magnitude, which silence would bring down to nothing
_STEP = 40.0  # dB that count as 1

FIRST_LEVELS: Doubles = np.linspace(-60.0, -90.0, BANDS)
"""Where the running means of the bands' levels begin, dB."""
FIRST_MAGNITUDES: Doubles = np.linspace(1e-3, 1e-4, LOW_BINS)
"""Where those of the low bins' magnitudes begin."""


def _vorbis() -> FloatArray:
    """Return the window of Vorbis, whose square and the same half a frame on add up to 1."""
    rising = np.sin(np.pi * (np.arange(_WIDTH) + 0.5) / _WIDTH)
    window: FloatArray = np.sin(np.pi / 2 * rising**2).astype(np.float32)
    return window


def _band_edges() -> npt.NDArray[np.int64]:
    """Return the first bin of each band, and the number of bins.

    The bands are of equal width on the scale of equivalent rectangular bandwidths (Glasberg and
    Moore 1990), rounded to whole bins. Where that would leave fewer than two, a band takes two
    and the next one has as many fewer.
    """
    scale, width = 9.265, 24.7
    highest = scale * np.log1p(SAMPLE_RATE / 2 / (width * scale))
    upper = width * scale * np.expm1(np.arange(1, BANDS + 1) * highest / BANDS / scale)
    bins = np.rint(upper * _WIDTH / SAMPLE_RATE).astype(int).tolist()
    edges, borrowed = [0], 0
    for before, here in zip([0, *bins], bins, strict=False):
        wanted = here - before - borrowed
        borrowed = max(0, _LEAST_BINS - wanted)
        edges.append(edges[-1] + max(wanted, _LEAST_BINS))
    return np.array([*edges[:-1], BINS])


_WINDOW = _vorbis()
_EDGES = _band_edges()


def analysed(samples: FloatArray) -> ComplexArray:
    """Return the frames of whole hops, `(hops - 1, bins)`: each is a hop and the one before."""
    hops = samples.reshape(-1, HOP)
    frames = np.concatenate([hops[:-1], hops[1:]], axis=1)
    spectrum: ComplexArray = fft.rfft(frames * _WINDOW) / np.float32(_WIDTH)
    return spectrum


def synthesised(spectrum: ComplexArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what frames `(frames, bins)` complete, `(frames * HOP,)`, and the new tail.

    `tail` is the second half of the frame before, `(HOP,)`. The samples end with the first half of
    the last frame, to which its second half is the tail.
    """
    halves = (fft.irfft(spectrum, _WIDTH) * (_WINDOW * np.float32(_WIDTH))).reshape(-1, 2, HOP)
    before = np.concatenate([tail[None], halves[:-1, 1]])
    return (halves[:, 0] + before).reshape(-1), halves[-1, 1].copy()


def band_features(spectrum: ComplexArray, mean: Doubles) -> tuple[FloatArray, Doubles]:
    """Return how far each band's level is from its running mean, and the last means.

    `mean` is that of the frame before: `(BANDS,)`, dB. The features are `(frames, BANDS)`.
    """
    power = spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2
    bands = np.add.reduceat(power, _EDGES[:-1], axis=1) / np.diff(_EDGES)
    level = 10 * np.log10(bands + _FLOOR)
    means = _running_mean(level, mean)
    return ((level - means) / _STEP).astype(np.float32), means[-1]


def low_features(spectrum: ComplexArray, mean: Doubles) -> tuple[FloatArray, Doubles]:
    """Return the low bins by the root of their running mean magnitude, and the last means.

    `mean` is that of the frame before: `(LOW_BINS,)`. The features are real and imaginary parts,
    `(2, frames, LOW_BINS)`.
    """
    low = spectrum[:, :LOW_BINS].astype(np.complex128)
    means = _running_mean(np.abs(low), mean)
    scaled = low / np.sqrt(np.maximum(means, _LEAST_MEAN))
    return np.stack([scaled.real, scaled.imag]).astype(np.float32), means[-1]


def _running_mean(values: Doubles, before: Doubles) -> Doubles:
    """Return the exponential mean of each column up to each row."""
    means, _ = lfilter([1 - _KEPT], [1, -_KEPT], values, axis=0, zi=_KEPT * before[None])
    return np.asarray(means, np.float64)


def filtered(spectrum: ComplexArray, gains: FloatArray, filters: FloatArray) -> ComplexArray:
    """Apply gains to the bands and, in their place, filters to the low bins.

    Parameters
    ----------
    spectrum
        `(TAPS - 1 + frames, bins)`.
    gains
        `(frames, BANDS)`. Those of frame `t` are for row `t + LOOKAHEAD` of the spectrogram, since
        they were estimated that much later.
    filters
        `(frames, LOW_BINS, TAPS, 2)`: real and imaginary parts. Those of frame `t` are for rows
        `[t, t + TAPS)` of the spectrogram, and make the same row as the gains.

    Returns
    -------
    spectrum
        `(frames, bins)`.

    """
    count = len(gains)
    present = spectrum[LOOKAHEAD : LOOKAHEAD + count]
    out: ComplexArray = present * np.repeat(gains, np.diff(_EDGES), axis=1)
    taps = filters[..., 0] + 1j * filters[..., 1]
    out[:, :LOW_BINS] = 0
    for tap in range(TAPS):
        out[:, :LOW_BINS] += spectrum[tap : tap + count, :LOW_BINS] * taps[:, :, tap]
    return out
