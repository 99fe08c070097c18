"""Spectrograms of clips, one above the other, on the same scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["draw"]

_WIDTH, _HOP = 2048, 512
_LOWEST = 50.0  # Hz
_RANGE = 75.0  # dB from the loudest spot of all down to black


def draw(path: Path, rows: Sequence[tuple[str, npt.NDArray[np.float32]]], rate: int) -> None:
    """Write a PNG with the spectrogram of each row.

    Parameters
    ----------
    path
        Where the picture goes.
    rows
        Title and samples, `(channels, frames)`; the channels are shown as their mean power.
    rate
        Hz, of all rows.

    """
    import matplotlib  # imported here: takes a second, and only pictures need it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    highest = min(rate / 2, 20_000)
    pitches = np.geomspace(_LOWEST, highest, 300)
    levels = [_decibels(samples, rate, pitches) for _, samples in rows]
    top = max(float(level.max()) for level in levels)
    figure, axes = pyplot.subplots(
        len(rows), 1, figsize=(9, 1.9 * len(rows) + 0.4), sharex=True, layout="constrained"
    )
    for axis, (title, samples), level in zip(np.atleast_1d(axes), rows, levels, strict=True):
        axis.imshow(
            level,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - _RANGE,
            vmax=top,
            extent=(0, samples.shape[1] / rate, np.log10(_LOWEST), np.log10(highest)),
        )
        ticks = [hz for hz in (100, 300, 1_000, 3_000, 10_000) if hz < highest]
        axis.set_yticks(np.log10(ticks), [f"{hz / 1000:g}" for hz in ticks])
        axis.set_ylabel("kHz")
        axis.set_title(title, loc="left", fontsize=10)
    np.atleast_1d(axes)[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _decibels(
    samples: npt.NDArray[np.float32], rate: int, pitches: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return mean power over the channels in dB, `(pitches, frames)`."""
    padded = np.pad(samples, ((0, 0), (_WIDTH // 2, _WIDTH)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WIDTH, axis=1)[:, ::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WIDTH), axis=-1)) ** 2
    nearest = np.round(pitches * _WIDTH / rate).astype(np.int64)
    level: npt.NDArray[np.float64] = 10 * np.log10(power.mean(axis=0).T[nearest] + 1e-12)
    return level
