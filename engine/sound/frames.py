"""A model's frames at a mixture's own rate, and the transforms to and from them."""

from __future__ import annotations

from dataclasses import dataclass
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
    "shared",
    "sharpened",
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

    @property
    def width(self) -> int:
        """Samples of a frame; even."""
        return max(
            2, 2 * round(self.frame_grid.n_fft * self.rate / self.frame_grid.sample_rate / 2)
        )

    def centres(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return the samples on which frames `[start, stop)` are centred."""
        twice = 2 * np.arange(start, stop, dtype=np.int64) * self.frame_grid.hop * self.rate
        centres: npt.NDArray[np.int64] = (twice + self.frame_grid.sample_rate) // (
            2 * self.frame_grid.sample_rate
        )
        return centres

    def spread(self, mask: Mask, *, full: bool) -> Mask:
        """Carry a mask over the model's bins (last axis) onto the mixture's.

        Bins between two of the model's are interpolated. Above the model's band the mean
        magnitude of its top bands goes on if `full`, else there is silence.
        """
        bins, width = self.frame_grid.bins, self.width
        if self.rate == self.frame_grid.sample_rate:
            return mask
        step = (self.rate * self.frame_grid.n_fft) / (width * self.frame_grid.sample_rate)
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


def spectrum(frames: FloatArray, window: FloatArray) -> ComplexArray:
    """Return the transforms of windowed frames, `(..., width)` to `(..., width // 2 + 1)`."""
    # This transform gives each row the same bits in any batch, on any number of threads.
    result: ComplexArray = fft.rfft(frames * window, workers=threads())
    return result


def inverse(spectrum: ComplexArray, width: int) -> FloatArray:
    """Return the frames of a spectrogram, `(..., width // 2 + 1)` to `(..., width)`."""
    result: FloatArray = fft.irfft(spectrum, width, workers=threads())
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


def sharpened(mask: Mask, power: float) -> Mask:
    """Raise a mask's magnitude to a power, and leave its phase; a power of 1 changes no bit.

    >>> sharpened(np.array([0.5, 0, -0.5j], np.complex64), 2.0).tolist()
    [(0.25+0j), 0j, -0.25j]
    """
    if power == 1:
        return mask
    magnitude = np.abs(mask)
    factor = np.zeros_like(magnitude)
    np.power(magnitude, np.float32(power - 1), out=factor, where=magnitude > 0)
    sharp: Mask = mask * factor
    return sharp


def shared(masks: Mask) -> Mask:
    """Scale the masks of several queries (first axis) so that no energy is claimed twice.

    Where their magnitudes add up to more than 1 they share the bin in proportion, and keep their
    phases. What is claimed once keeps its bits, and so does the mask of a single query, unless
    it is real and claims more than there is.

    >>> shared(np.array([[0.5, 1.0, 1.0], [0.25, 1.0, 0.0]], np.float32)).tolist()
    [[0.5, 0.5, 1.0], [0.25, 0.5, 0.0]]
    """
    if len(masks) == 1 and np.iscomplexobj(masks):
        return masks  # the magnitude of a unit phase rounds to a little over 1
    total = np.maximum(np.abs(masks).sum(axis=0), np.float32(1))
    out = np.empty_like(masks)
    if np.iscomplexobj(masks):
        # as in `masked`: no product of complex numbers, whose bits vary
        out.real, out.imag = masks.real / total, masks.imag / total
    else:
        np.divide(masks, total, out=out)
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
