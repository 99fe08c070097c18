"""Whether speech is in a recording beside what is asked for, as a listener hears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.advice.listening import checked
from engine.job import Job
from engine.models.base import FloatArray, Listener
from engine.sound.audio import opened
from engine.sound.hearing import stretches
from engine.sound.mixture import resampled

__all__ = ["SURE", "speech_in"]

SURE = 0.7
"""Probability of speech from which a listener is sure of it.

`ears` was so in 82 % of 200 mixtures with speech, and in 1 % of 200 without.
"""
_LABEL = "Speech"


def speech_in(job: Job, listener: Listener, step: Callable[[], None]) -> float:
    """Return how likely speech is in a job's mixture at its clearest moment, 0 to 1.

    `step` is called between stretches; what it raises ends the listening. Hearing ends where the
    listener is `SURE`.

    Raises
    ------
    BadAudio
        The mixture cannot be read.
    Failure
        The listener returned values that are not probabilities.

    """
    grid = listener.hearing_grid
    label = listener.labels.index(_LABEL)
    best = 0.0
    # Opened once, and never through a link: what was admitted may have been exchanged since.
    with opened(job.mixture, follow=False, tick=step) as sound:

        def blocks() -> Iterator[FloatArray]:
            for block in sound.blocks():
                step()
                yield block

        made = resampled(blocks(), sound.rate, grid.sample_rate, sound.channels)
        for stretch in stretches((block.T for block in made), grid):
            step()
            heard = checked(listener.hear(stretch), stretch, listener)
            best = max(best, float(heard[:, label].max(initial=0.0)))
            if best >= SURE:
                break
    return best
