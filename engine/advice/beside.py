"""Whether speech is in a recording beside what is asked for, as a listener hears it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.advice.presence import Asked, Impression, heard
from engine.job import Job
from engine.models.base import FloatArray, Listener

__all__ = ["SURE", "Beside", "speech_in"]

SURE = 0.7
"""Probability of speech from which a listener is sure of it.

`ears` was so in 82 % of 200 mixtures with speech, and in 1 % of 200 without.
"""
_LABEL = "Speech"


@dataclass(frozen=True, eq=False)
class Beside:
    """What a listener heard in a mixture while it listened for speech.

    Attributes
    ----------
    speech
        How likely speech is at its clearest moment, 0 to 1.
    mixture
        What it made of the mixture with the queries in mind; None where it was `SURE` of speech
        before it had heard all.

    """

    speech: float
    mixture: Impression | None


def speech_in(
    job: Job,
    listener: Listener,
    step: Callable[[], None],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Beside:
    """Say how likely speech is in a job's mixture.

    `step` is called again and again; what it raises ends the listening. `on_progress` is called
    with the fraction heard. Hearing ends where the listener is `SURE`.

    Raises
    ------
    BadAudio
        The mixture cannot be read.
    Failure
        The listener returned values that are not probabilities.

    """
    label = listener.labels.index(_LABEL)
    best = 0.0

    def on_scores(scores: FloatArray) -> None:
        nonlocal best
        step()
        best = max(best, float(scores[:, label].max(initial=0.0)))
        if best >= SURE:
            raise _SureError

    try:
        asked = Asked.of(job.queries, listener)
        mixture = heard(job.mixture, listener, asked, step, on_scores, on_progress)
        return Beside(best, mixture)
    except _SureError:
        return Beside(best, None)


class _SureError(Exception):
    """Ends the listening where nothing more need be heard."""
