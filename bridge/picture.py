"""Spectrograms of clips, one above the other, on the same scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.labels import check_folder
from bridge.patience import waiting
from bridge.streams import STANDARD
from engine.display import shown
from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.options import Options
from engine.sound.audio import read
from engine.sound.kept import Kept

__all__ = ["LONGEST", "check", "draw", "draw_job"]

_WIDTH, _HOP = 2048, 512
_BLOCK = 512  # frames at once: ten minutes of stereo would else take gigabytes
_COLUMNS = 4000  # at least, where there are more frames than that: the mean of several
_LOWEST = 50.0  # Hz
_RANGE = 75.0  # dB from the loudest spot of all down to black


LONGEST = 600.0
"""Seconds of the longest recording that is drawn."""


def draw(
    path: Path,
    rows: Sequence[tuple[str, npt.NDArray[np.float32]]],
    rate: int,
    marks: Options | None = None,
) -> None:
    """Write a PNG with the spectrogram of each row.

    Parameters
    ----------
    path
        Where the picture goes.
    rows
        Title and samples, `(channels, frames)`; the channels are shown as their mean power.
    rate
        Hz, of all rows.
    marks
        Whose spans, bands and rectangles to mark in the first row.

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
    if marks is not None and marks.places:
        _mark(np.atleast_1d(axes)[0], marks, rows[0][1].shape[1] / rate, highest)
    np.atleast_1d(axes)[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def check(path: Path) -> None:
    """Raise BadInput unless a picture can be written at `path`."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"{path} is no name of a picture: --picture writes PNG, so end it in .png.")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: name a picture with --picture.")
    check_folder(path, "--picture")


def draw_job(
    path: Path, job: str, file: Path | None, clips: Sequence[tuple[str, Path]], options: Options
) -> None:
    """Write a PNG with the spectrograms of a job's mixture, with what was marked, and of its clips.

    The mixture comes from the job's kept masks, or else from `file`.

    Raises
    ------
    BadInput
        The mixture is not there, longer than `LONGEST`, or no longer of the clips' length.
    Failure
        The picture cannot be written.

    """
    kept = Kept.open(Folders.of_user().masks / job)
    if kept is not None:
        info, options = kept.info, kept.job.options
        flat = np.fromfile(kept.folder / "mixture.f32", "<f4").reshape(-1, info.channels)
        mixture, rate = np.ascontiguousarray(flat.T), info.rate
        title = kept.job.title or kept.job.mixture.name
    elif file is not None and file != STANDARD:
        mixture, rate = read(file)
        title = file.name
    else:
        raise BadInput(f"The recording of job {job} was not kept: it is not drawn.")
    if mixture.shape[1] > LONGEST * rate:
        raise BadInput(f"{title} is longer than {LONGEST / 60:.0f} minutes: it is not drawn.")
    rows = [(title, mixture)]
    for name, clip in clips:
        samples, own = read(clip)
        if (own, samples.shape[1]) != (rate, mixture.shape[1]):
            raise BadInput(f"{title} has another length than its clips by now: it is not drawn.")
        rows.append((name, samples))
    try:
        with waiting(f"Drawing {shown(str(path))}"):
            draw(path, rows, rate, options)
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error


def _mark(axis: Any, marks: Options, seconds: float, highest: float) -> None:
    """Mark where targets may be (light), and where they may not (dark)."""
    inside = {"facecolor": "none", "edgecolor": "#7fffd4", "linewidth": 1.4}
    bottom, top = np.log10(_LOWEST), np.log10(highest)

    def box(left: float, right: float, low: float, high: float, **style: Any) -> None:
        from matplotlib.patches import Rectangle

        low, high = (float(np.log10(np.clip(hz, _LOWEST, highest))) for hz in (low, high))
        axis.add_patch(Rectangle((left, low), min(right, seconds) - left, high - low, **style))

    for span in marks.at:
        box(span.start, span.stop, _LOWEST, highest, **inside)
    for span in marks.never:
        style = {"facecolor": "#000000b0", "edgecolor": "#ff7f7f", "hatch": "///"}
        box(span.start, span.stop, _LOWEST, highest, **style)
    for band in marks.band:
        box(0, seconds, band.low, band.high, **inside)
    for one in marks.rect:
        box(one.span.start, one.span.stop, one.band.low, one.band.high, **inside)
    axis.set_ylim(bottom, top)
    axis.set_xlim(0, seconds)


def _decibels(
    samples: npt.NDArray[np.float32], rate: int, pitches: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return mean power over the channels in dB, `(pitches, columns)`."""
    padded = np.pad(samples, ((0, 0), (_WIDTH // 2, _WIDTH)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WIDTH, axis=1)[:, ::_HOP]
    nearest = np.round(pitches * _WIDTH / rate).astype(np.int64)
    window = np.hanning(_WIDTH)
    together = max(frames.shape[1] // _COLUMNS, 1)
    step = max(_BLOCK // together, 1) * together
    columns = []
    for first in range(0, frames.shape[1], step):
        block = frames[:, first : first + step]
        power = (np.abs(np.fft.rfft(block * window, axis=-1)) ** 2).mean(axis=0)[:, nearest]
        starts = np.arange(0, len(power), together)
        sizes = np.diff(np.append(starts, len(power)))
        columns.append(np.add.reduceat(power, starts, axis=0) / sizes[:, np.newaxis])
    level: npt.NDArray[np.float64] = 10 * np.log10(np.concatenate(columns).T + 1e-12)
    return level
