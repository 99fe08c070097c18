"""What a job asks its listener: is there speech, is a sound there, and what is an example like."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from engine.advice import presence as both
from engine.advice.beside import SURE, speech_in
from engine.advice.examples import Example, embedding, placed
from engine.errors import BadInput, Cancelled
from engine.job import Job
from engine.models.base import FloatArray, Separator
from engine.models.cache import ModelCache
from engine.models.kinds import LISTENER
from engine.models.tasks import as_listener
from engine.options import Presence
from engine.sound.memory import is_exhausted
from engine.status import Certainty, Clip

__all__ = ["ending", "is_beside", "presence", "shown", "told"]

_LOG = logging.getLogger("tweeze.worker")


def presence(
    job: Job,
    clips: tuple[Clip, ...],
    certainty: tuple[float, FloatArray] | None,
    models: ModelCache,
    cancelled: Callable[[], bool],
    mixture: both.Impression | None = None,
) -> tuple[float, FloatArray] | None:
    """Ask the listener, too, whether what was separated is there; None where it cannot tell.

    What it made of the `mixture` before, it is not asked again. The clips are there already, so
    that nothing but a cancelled job keeps them back.
    """
    options = job.options
    wanted = options.presence is Presence.BOTH and not options.like
    if not wanted or not both.is_fitted():
        return None
    if options.merge or options.amount != 100 or options.places:
        clips = ()  # they do not hold all of each sound: the mixture alone is heard
    step = ending(job, cancelled)
    try:
        listener = as_listener(models.fetch(LISTENER.name)[0])
        return both.ask(job, clips, listener, certainty, mixture=mixture, step=step)
    except Cancelled:
        raise
    except Exception as error:
        _LOG.warning("Job %s: the listener could not be asked (%s).", job.id, error)
        if is_exhausted(error):
            models.drop(LISTENER.name)
        return None


def shown(
    job: Job, separator: Separator, models: ModelCache, cancelled: Callable[[], bool]
) -> Callable[[str], FloatArray] | None:
    """Return how to embed the queries of a job that shows an example; None for another."""
    if not job.options.like:
        return None
    example = Example.from_text(job.options.like)
    listener = as_listener(models.fetch(LISTENER.name)[0])
    place = placed(example, listener, ending(job, cancelled))
    return embedding(separator, example, place, job.nots)


def is_beside(
    job: Job,
    models: ModelCache,
    cancelled: Callable[[], bool],
    on_progress: Callable[[float], None],
) -> tuple[bool, both.Impression | None]:
    """Return whether speech is heard beside what a job asks for, where that may compete.

    With it comes what the listener made of the mixture, if it heard it from start to end.
    `on_progress` is called with the fraction heard.
    """
    if not job.beside:
        return False, None
    step = ending(job, cancelled)
    try:
        listener = as_listener(models.fetch(LISTENER.name)[0])
        found = speech_in(job, listener, step, on_progress)
    except (Cancelled, BadInput):
        raise
    except Exception as error:
        _LOG.warning("Job %s: nobody listened for speech (%s).", job.id, error)
        if is_exhausted(error):
            models.drop(LISTENER.name)
        return False, None
    return found.speech >= SURE, found.mixture


def ending(job: Job, cancelled: Callable[[], bool]) -> Callable[[], None]:
    """Return what raises `Cancelled` once the job was cancelled."""

    def step() -> None:
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")

    return step


def told(
    certainty: tuple[float, FloatArray] | None,
) -> tuple[tuple[float, ...], tuple[Certainty, ...]]:
    """Return presence and certainty over time as a status has them."""
    if certainty is None or not np.isfinite(certainty[1]).all():
        return (), ()
    step, values = certainty
    maxima = tuple(round(float(share), 2) for share in values.max(axis=1))
    return maxima, tuple(Certainty.rounded(step, row) for row in values)
