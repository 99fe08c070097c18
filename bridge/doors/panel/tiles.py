"""Spectrogram tiles: 256 columns of 256 rows, a byte each, on a logarithmic scale of frequency.

A column at zoom Z stands for `64 * 2**Z` frames. Up to the zoom at which a column is as long as a
Fourier transform (`Scale.base`), columns come from the samples; further out they are the maxima of
columns at that zoom, so that no click is lost however much a column stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import scipy.fft

from engine.models.base import FloatArray

__all__ = ["COLUMNS", "FARTHEST", "ROWS", "Bytes", "Scale", "columns", "hop", "pooled", "view"]

COLUMNS = 256
ROWS = 256
FARTHEST = 24
"""The largest zoom: a tile of weeks."""
_LOWEST = 50.0  # Hz
_RANGE = 100.0  # dB from the lowest value to the highest, which is full scale
_FINE = 64  # frames in a column at zoom 0
_SHORTEST = 1024  # samples of the shortest transform
_LONG = 0.085  # seconds that a transform should have, further out
_GROUP = 64  # columns that are transformed at once

Bytes = npt.NDArray[np.uint8]


def hop(zoom: int) -> int:
    """Return how many frames a column stands for."""
    return _FINE << zoom


def view(samples: FloatArray, channel: str) -> FloatArray:
    """Return one channel of samples `(channels, frames)`: their `mix`, the `left` or the `right`.

    What is mono is the same in each.
    """
    if channel == "mix":
        mixed: FloatArray = samples.mean(axis=0, dtype=np.float32)
        return mixed
    one: FloatArray = samples[0 if channel == "left" else -1]
    return one


@dataclass(frozen=True)
class Scale:
    """How recordings of one rate (Hz) are drawn."""

    rate: int

    @cached_property
    def base(self) -> int:
        """The zoom at which a column is as long as the longest transform."""
        return round(math.log2(self.longest / _FINE))

    @cached_property
    def longest(self) -> int:
        """Samples of the longest transform, a power of two."""
        return max(_SHORTEST, 1 << round(math.log2(self.rate * _LONG)))

    def transform(self, zoom: int) -> int:
        """Return how many samples are transformed at once: less where one looks closely."""
        return min(self.longest, max(_SHORTEST, 16 * hop(zoom)))

    def per_column(self, zoom: int) -> int:
        """Return how many transforms a column takes so that they overlap by half."""
        return max(1, 2 * hop(zoom) // self.transform(zoom))

    def frequencies(self) -> FloatArray:
        """Return the lower edge of each row, and the upper one of the last, in Hz."""
        edges: FloatArray = np.geomspace(_LOWEST, self.rate / 2, ROWS + 1).astype(np.float32)
        return edges


@dataclass(frozen=True)
class _Rows:
    """Where the rows find their values among a transform's bins."""

    filled: npt.NDArray[np.intp]  # rows that hold the middle of a bin
    starts: npt.NDArray[np.intp]  # the first bin of each of these
    stop: int  # behind the last bin
    between: npt.NDArray[np.intp]  # the other rows
    below: npt.NDArray[np.intp]  # the bin below each of these
    share: FloatArray  # how much the bin above it counts


@cache
def _rows(rate: int, width: int) -> _Rows:
    edges = Scale(rate).frequencies().astype(np.float64) * width / rate
    last = width // 2
    bins = np.minimum(np.ceil(edges), last + 1).astype(np.intp)
    bins[-1] = last + 1
    full = bins[1:] > bins[:-1]
    middles = np.sqrt(edges[:-1] * edges[1:])[~full]
    below = np.minimum(np.floor(middles).astype(np.intp), last - 1)
    return _Rows(
        filled=np.flatnonzero(full),
        starts=bins[:-1][full],
        stop=last + 1,
        between=np.flatnonzero(~full),
        below=below,
        share=(middles - below).astype(np.float32),
    )


@cache
def _window(width: int) -> FloatArray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    # A sine at full scale comes out as 1.
    scaled: FloatArray = (window * (2 / window.sum())).astype(np.float32)
    return scaled


def columns(
    read: Callable[[int, int], FloatArray], frames: int, rate: int, zoom: int, first: int, last: int
) -> Bytes:
    """Return columns `[first, last)` at a zoom, from the samples: `(last - first, ROWS)`.

    `read` returns samples `[start, stop)` of one channel, out of `frames`; what lies beyond them is
    silence, and columns that begin there hold 0.
    """
    scale = Scale(rate)
    width, each, length = scale.transform(zoom), scale.per_column(zoom), hop(zoom)
    made = np.zeros((max(0, last - first), ROWS), np.uint8)
    there = min(last, -(-frames // length))
    for start in range(first, there, _GROUP):
        stop = min(start + _GROUP, there)
        count = (stop - start) * each
        step = length // each
        begin = start * length + step // 2 - width // 2
        samples = _padded(read, begin, begin + (count - 1) * step + width, frames)
        cut = np.lib.stride_tricks.sliding_window_view(samples, width)[::step][:count]
        spectrum = np.abs(scipy.fft.rfft(cut * _window(width), axis=1))
        rows = _on_rows(spectrum, _rows(rate, width))
        made[start - first : stop - first] = _levels(rows.reshape(-1, each, ROWS).max(axis=1))
    return made


def pooled(base: Bytes, factor: int) -> Bytes:
    """Return columns further out: the maxima of each `factor` columns, COLUMNS of them."""
    made = np.zeros((COLUMNS, ROWS), np.uint8)
    if len(base):
        found = np.maximum.reduceat(base, np.arange(0, len(base), factor), axis=0)
        made[: len(found)] = found
    return made


def _padded(
    read: Callable[[int, int], FloatArray], start: int, stop: int, frames: int
) -> FloatArray:
    """Return samples `[start, stop)` with zeros beyond the ends."""
    inside = max(0, start), min(stop, frames)
    if inside[0] >= inside[1]:
        return np.zeros(stop - start, np.float32)
    samples = read(*inside)
    return np.pad(samples, (inside[0] - start, stop - inside[1]))


def _on_rows(spectrum: FloatArray, rows: _Rows) -> FloatArray:
    """Return the magnitude of each row: its loudest bin, or what lies between two bins."""
    made = np.empty((len(spectrum), ROWS), np.float32)
    if len(rows.filled):
        made[:, rows.filled] = np.maximum.reduceat(spectrum[:, : rows.stop], rows.starts, axis=1)
    low, high = spectrum[:, rows.below], spectrum[:, rows.below + 1]
    made[:, rows.between] = low + rows.share * (high - low)
    return made


def _levels(magnitude: FloatArray) -> Bytes:
    decibels = 20 * np.log10(np.maximum(magnitude, 1e-9))
    levels: Bytes = np.clip(np.rint((decibels + _RANGE) * (255 / _RANGE)), 0, 255).astype(np.uint8)
    return levels
