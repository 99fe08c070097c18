"""Finds which sounds are likely in a recording, and when, with a model that can listen.

The recording is heard in windows that overlap by half, so that a short sound is whole in one of
them, and in bounded memory.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.advice.suggestions import term_of
from engine.errors import BadInput, Cancelled, Failure
from engine.job import Job
from engine.models.base import FloatArray, Listener, Separator
from engine.sound.mixture import prepare
from engine.status import Heard

__all__ = ["LIKELY", "listen"]

LIKELY = 0.5
"""Probability from which a sound counts as heard in a window."""
_WINDOW = 4.0  # seconds
_NAMED = 20  # sounds at most; where none is likely, the first few are named all the same
_AT_LEAST = 3
_PREPARING = 0.1  # share of the progress that belongs to reading the mixture
_WORK = "work"


def listen(
    job: Job,
    model: Separator,
    folder: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    noted: Callable[[tuple[str, ...]], None] = lambda _: None,
) -> tuple[Heard, ...]:
    """Name the sounds of a job's mixture, the likeliest first, and say when they are heard.

    A class of `compact` is named by its caption, so that each name can be asked for.

    Named are those that are `LIKELY` somewhere, 20 at most; of a recording in which nothing is,
    the three likeliest, without times. In a silent recording there is nothing to name.

    Parameters
    ----------
    job
        The mixture's file.
    model
        The loaded model.
    folder
        The job's own folder, for the decoded mixture; it is removed in the end.
    progress
        Called with the share done, 0 to 1.
    cancelled
        Called between windows; true stops the work.
    noted
        Called once with sentences about how the mixture was read.

    Raises
    ------
    BadInput
        The model is not a `Listener`, or the mixture cannot be read (BadAudio).
    Cancelled
        `cancelled` said so.
    Failure
        The model returned values that are not probabilities.

    """
    if not isinstance(model, Listener):
        raise BadInput(
            f"The model {model.name} cannot say what is in a recording: "
            "take one that can, like compact."
        )
    work = folder / _WORK
    work.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepared(share: float) -> None:
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")
        progress(share * _PREPARING)

    try:
        frame_grid = model.frame_grid
        mixture = prepare(job, frame_grid, work, prepared)
        second = frame_grid.sample_rate / frame_grid.hop
        frames = mixture.model_samples // frame_grid.hop + 1
        windows = _windows(frames, math.ceil(_WINDOW * second))
        rows = []
        for number, (start, stop) in enumerate(windows):
            if cancelled():
                raise Cancelled(f"Job {job.id} was cancelled.")
            progress(_PREPARING + number / len(windows) * (1 - _PREPARING))
            magnitude = np.abs(mixture.model_spectrum(start, stop))
            rows.append(_checked(model.hear(magnitude, mixture.rms), model, model.name))
        length = mixture.info.frames / mixture.info.rate
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    noted(mixture.notes)
    progress(1.0)
    if mixture.silent:
        return ()
    return _named(
        model.labels, np.stack(rows), [(a / second, b / second) for a, b in windows], length
    )


def _windows(frames: int, width: int) -> list[tuple[int, int]]:
    """Return windows `[start, stop)` of `width` frames, the last one ending with the clip."""
    last = max(0, frames - width)
    step = max(1, width // 2)
    starts = [*range(0, last, step), last]
    return [(start, min(start + width, frames)) for start in starts]


def _checked(probabilities: FloatArray, model: Listener, name: str) -> FloatArray:
    inside = (probabilities >= 0) & (probabilities <= 1)  # NaN is not
    if probabilities.shape != (len(model.labels),) or not inside.all():
        raise Failure(
            f"The model {name} returned values that are not probabilities: its weights are "
            "damaged, see 'tweeze models'."
        )
    return probabilities


def _named(
    labels: Sequence[str],
    rows: FloatArray,
    seconds: Sequence[tuple[float, float]],
    length: float,
) -> tuple[Heard, ...]:
    """Return what was heard; `rows` is `(windows, labels)`, `seconds` where each window lies."""
    best = rows.max(axis=0)
    order = np.argsort(-best, kind="stable")
    likely = int((best >= LIKELY).sum())
    found = []
    for label in order[: min(_NAMED, max(_AT_LEAST, likely))]:
        spans = [span for span, row in zip(seconds, rows, strict=True) if row[label] >= LIKELY]
        times = tuple((round(a, 1), round(min(b, length), 1)) for a, b in _joined(spans))
        found.append(Heard(term_of(labels[label]), round(float(best[label]), 2), times))
    return tuple(found)


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join stretches, sorted by start, that touch or overlap."""
    joined: list[tuple[float, float]] = []
    for start, stop in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
