"""Which sounds are likely in a recording, and when: runs a listener over it, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.advice.events import EVENTS, Scores, sounds
from engine.errors import Cancelled, Failure
from engine.job import Job
from engine.models.base import FloatArray, Listener, Model
from engine.models.tasks import as_listener
from engine.sound.audio import opened
from engine.sound.hearing import stretches
from engine.sound.mixture import SILENCE, resampled, silent_note
from engine.status import Heard

__all__ = ["Hearing", "checked", "hear", "listen"]


def listen(
    job: Job,
    model: Model,
    *,
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    on_notes: Callable[[tuple[str, ...]], None] = lambda _: None,
) -> tuple[Heard, ...]:
    """Name the sounds of a job's mixture; see `engine.advice.events.sounds`.

    Parameters
    ----------
    job
        The mixture's file.
    model
        The loaded model.
    on_progress
        Called with the fraction done, 0 to 1.
    cancelled
        Called while it goes on; where it returns True, listening ends with `Cancelled`.
    on_notes
        Called once with sentences for the user: about how the mixture was read, that it is silent,
        or that a sound is heard too often to name each time.

    Raises
    ------
    BadInput
        The model is not a `Listener`, or the mixture cannot be read (BadAudio).
    Cancelled
        `cancelled` said so.
    Failure
        The model returned values that are not probabilities.

    """
    listener = as_listener(model)

    reached = 0.0

    def step(fraction: float) -> None:
        nonlocal reached
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")
        reached = fraction
        on_progress(fraction)

    # Opened once, and never through a link: what was admitted may have been exchanged since.
    with opened(job.mixture, follow=False, tick=lambda: step(reached)) as sound:

        def counted() -> Iterator[FloatArray]:
            done = 0
            for block in sound.blocks():
                yield block
                done += block.shape[1]
                step(min(1.0, done / sound.promised) if sound.promised else 0.0)

        hearing = hear(counted(), sound.rate, sound.channels, listener)
        notes = list(sound.notes)
    if hearing.silent:
        notes.append(silent_note(job.title or job.mixture.name))
    notes += [
        f"'{one.name}' is heard so often that stretches close to each other are named as one."
        for one in hearing.sounds
        if len(one.events) == EVENTS
    ]
    on_notes(tuple(notes))
    on_progress(1.0)
    return hearing.sounds


@dataclass(frozen=True)
class Hearing:
    """What was heard in a recording.

    Attributes
    ----------
    sounds
        The likeliest first; none in a silent recording.
    silent
        Whether no sample of it reaches `engine.sound.mixture.SILENCE`.

    """

    sounds: tuple[Heard, ...]
    silent: bool


def hear(blocks: Iterable[FloatArray], rate: int, channels: int, listener: Listener) -> Hearing:
    """Name the sounds of a recording that comes in blocks.

    Parameters
    ----------
    blocks
        `(channels, frames)` each, float32. What reading one raises ends the hearing.
    rate
        Hz.
    channels
        Of each block.
    listener
        The loaded model.

    Raises
    ------
    Failure
        The model returned values that are not probabilities.

    """
    grid = listener.hearing_grid
    scores = Scores(listener.labels)
    frames, peak = 0, 0.0

    def passed() -> Iterator[FloatArray]:
        nonlocal frames, peak
        for block in blocks:
            frames += block.shape[1]
            peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
            yield block

    made = resampled(passed(), rate, grid.sample_rate, channels)
    for stretch in stretches((block.T for block in made), grid):
        scores.add(checked(listener.hear(stretch), stretch, listener))
    if peak < SILENCE:
        return Hearing((), silent=True)
    return Hearing(sounds(scores, grid, frames / rate), silent=False)


def checked(probabilities: FloatArray, stretch: FloatArray, listener: Listener) -> FloatArray:
    """Return what a listener said of a stretch; Failure unless those are probabilities."""
    grid = listener.hearing_grid
    shape = (grid.windows(stretch.shape[1] - 2 * grid.context), len(listener.labels))
    inside = (probabilities >= 0) & (probabilities <= 1)  # NaN is not
    if probabilities.shape != shape or not inside.all():
        raise Failure(
            f"The model {listener.name} returned values that are not probabilities: its weights "
            "are damaged, see 'tweeze models'."
        )
    return probabilities
