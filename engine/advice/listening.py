"""Which sounds are likely in a recording, and when: asks a model that listens for itself.

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
from engine.sound.mixture import Mixture, is_silent, model_spectrum, prepare
from engine.status import Heard

__all__ = ["LIKELY", "hear", "listen"]

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
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    on_notes: Callable[[tuple[str, ...]], None] = lambda _: None,
) -> tuple[Heard, ...]:
    """Name the sounds of a job's mixture; see `hear`.

    Parameters
    ----------
    job
        The mixture's file.
    model
        The loaded model.
    folder
        The job's own folder, for the decoded mixture; it is removed in the end.
    on_progress
        Called with the fraction done, 0 to 1.
    cancelled
        Called between windows; where it returns True, listening ends with `Cancelled`.
    on_notes
        Called once with sentences for the user about how the mixture was read.

    Raises
    ------
    BadInput
        The model is not a `Listener`, or the mixture cannot be read (BadAudio).
    Cancelled
        `cancelled` said so.
    Failure
        The model returned values that are not probabilities.

    """
    check_listens(model)
    work = folder / _WORK
    work.mkdir(mode=0o700, parents=True, exist_ok=True)

    def step(fraction: float) -> None:
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")
        on_progress(fraction)

    try:
        mixture = prepare(job, model.frame_grid, work, lambda part: step(part * _PREPARING))
        heard = hear(mixture, model, lambda part: step(_PREPARING + part * (1 - _PREPARING)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    on_notes(mixture.notes)
    on_progress(1.0)
    return heard


def check_listens(model: Separator) -> None:
    """Raise BadInput unless a model is a `Listener`."""
    if not isinstance(model, Listener):
        raise BadInput(
            f"The model {model.name} cannot say what is in a recording: "
            "take one that can, like compact."
        )


def hear(
    mixture: Mixture,
    model: Separator,
    on_progress: Callable[[float], None] = lambda _: None,
) -> tuple[Heard, ...]:
    """Name the sounds of a mixture, the likeliest first, and say when they are heard.

    A class of `compact` is named by its caption, so that each name can be asked for.

    Named are those that are `LIKELY` somewhere, 20 at most; of a recording in which nothing is,
    the three likeliest, without times; of a silent one, nothing. `on_progress` is called with the
    fraction done before each window, and may raise to stop.

    Raises
    ------
    BadInput
        The model is not a `Listener`.
    Failure
        The model returned values that are not probabilities.

    """
    check_listens(model)
    assert isinstance(model, Listener)
    if is_silent(mixture):
        return ()
    grid = model.frame_grid
    second = grid.sample_rate / grid.hop
    windows = _windows(mixture.model_samples // grid.hop + 1, math.ceil(_WINDOW * second))
    rows = []
    for number, (start, stop) in enumerate(windows):
        on_progress(number / len(windows))
        magnitude = np.abs(model_spectrum(mixture, grid, start, stop))
        rows.append(_checked(model.hear(magnitude, mixture.rms), model, model.name))
    times = [(start / second, stop / second) for start, stop in windows]
    return _named(model.labels, np.stack(rows), times, mixture.info.seconds)


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
