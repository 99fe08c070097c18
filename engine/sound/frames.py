"""A model's frames at a mixture's own rate, and the transforms to and from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from engine.cores import threads
from engine.models.base import ComplexArray, FloatArray, FrameGrid

__all__ = [
    "GROUP",
    "Mask",
    "MixtureGrid",
    "inverse",
    "masked",
    "reflect",
    "spectrum",
    "window",
]

GROUP = 1 << 19  # samples of windowed frames that are transformed at a time
_CARRIED = (0.80, 0.97)  # of the model's band: the top bands whose mask goes on above it

Mask = FloatArray | ComplexArray


@dataclass(frozen=True)
class MixtureGrid:
    """The model's frames at the mixture's rate: as long and as far apart in seconds.

    Where a hop is not a whole number of samples, centres are rounded to the nearest sample; the
    overlap-add divides by the windows where they really lie, so that costs no exactness.
    """

    rate: int
    frame_grid: FrameGrid

    @cached_property
    def width(self) -> int:
        """Samples of a frame; even.

        At the model's own rate these are the model's frames; at others they may be a little
        longer or shorter, so that the transform is fast: of 1412 samples (32 of 1024 at 44.1 kHz)
        it takes four times as long as of 1408.
        """
        exact = self.frame_grid.n_fft * self.rate / self.frame_grid.sample_rate
        nearest = max(2, 2 * round(exact / 2))
        if self.rate == self.frame_grid.sample_rate:
            return nearest
        above = next(width for width in count(nearest, 2) if fft.next_fast_len(width) == width)
        below = next(width for width in count(nearest, -2) if fft.next_fast_len(width) == width)
        return min(above, below, key=lambda width: abs(width - exact))

    def centres(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return the samples on which frames `[start, stop)` are centred."""
        twice = 2 * np.arange(start, stop, dtype=np.int64) * self.frame_grid.hop * self.rate
        centres: npt.NDArray[np.int64] = (twice + self.frame_grid.sample_rate) // (
            2 * self.frame_grid.sample_rate
        )
        return centres

    def reaching(self, start: int, stop: int, count: int) -> tuple[int, int]:
        """Return frames, of `count`, among which are all that touch samples `[start, stop)`.

        The samples are whole, too, when no frame behind those is added.
        """
        hop = self.frame_grid.hop * self.rate / self.frame_grid.sample_rate
        half = self.width // 2
        first = max(0, int((start - half) / hop) - 1)
        return min(first, count - 1), min(count, int((stop + half) / hop) + 3)

    @property
    def bins(self) -> int:
        """Number of frequency bins, from 0 Hz to half the rate."""
        return self.width // 2 + 1

    def spread(self, mask: Mask, heard: MixtureGrid, *, full: bool) -> Mask:
        """Carry a mask over the bins (last axis) of a model's grid onto the mixture's.

        `heard` holds the same frames at the rate at which the model hears. Bins between two of
        its are interpolated. Above the model's band the mean magnitude of its top bands goes on if
        `full`, else there is silence.
        """
        if self.rate == heard.rate:
            return mask
        bins, width = heard.bins, self.width
        step = (self.rate * heard.width) / (width * heard.rate)
        place = np.arange(width // 2 + 1) * step
        inside = place <= bins - 2  # the last bin is half a bin wide, and zero in some models
        low = np.floor(place[inside]).astype(np.int64)
        share = (place[inside] - low).astype(np.float32)
        out = np.zeros((*mask.shape[:-1], len(place)), mask.dtype)
        out[..., : len(low)] = mask[..., low] + (mask[..., low + 1] - mask[..., low]) * share
        if full and not inside.all():
            top = slice(int(_CARRIED[0] * bins), int(_CARRIED[1] * bins))
            out[..., len(low) :] = np.abs(mask[..., top]).mean(axis=-1, keepdims=True)
        return out


def window(width: int) -> FloatArray:
    """Return the periodic Hann window of `width` samples."""
    samples: FloatArray = np.hanning(width + 1)[:-1].astype(np.float32)
    return samples


def spectrum(frames: FloatArray, window: FloatArray, workers: int = 0) -> ComplexArray:
    """Return the transforms of windowed frames, `(..., width)` to `(..., width // 2 + 1)`.

    `workers` is the number of threads; 0 for as many as there are processors to use.
    """
    # This transform gives each row the same bits in any batch, on any number of threads.
    result: ComplexArray = fft.rfft(frames * window, workers=workers or threads())
    return result


def inverse(spectrum: ComplexArray, width: int, workers: int = 0) -> FloatArray:
    """Return the frames of a spectrogram, `(..., width // 2 + 1)` to `(..., width)`."""
    result: FloatArray = fft.irfft(spectrum, width, workers=workers or threads())
    return result


def masked(spectrum: ComplexArray, mask: npt.NDArray[Any]) -> ComplexArray:
    """Return the product of a spectrogram and masks that broadcast to it.

    NumPy's product of complex numbers rounds differently with an array's place in memory; this
    one gives each bin the same bits in any batch.
    """
    out = np.empty(np.broadcast_shapes(spectrum.shape, mask.shape), np.complex64)
    if np.iscomplexobj(mask):
        out.real = spectrum.real * mask.real - spectrum.imag * mask.imag
        out.imag = spectrum.real * mask.imag + spectrum.imag * mask.real
    else:
        out.real = spectrum.real * mask
        out.imag = spectrum.imag * mask
    return out


def reflect(index: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Fold indices into `[0, count)` by reflection at both ends, as often as it takes.

    >>> reflect(np.arange(-3, 6), 3).tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    if count == 1:
        return np.zeros_like(index)
    period = 2 * (count - 1)
    folded: npt.NDArray[np.int64] = np.mod(index, period)
    return np.minimum(folded, period - folded)
