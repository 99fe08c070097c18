"""What to ask for: terms near a query, and the sounds of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from engine import models
from engine.advice import suggestions
from engine.advice.listening import hear
from engine.advice.suggestions import Suggestion
from engine.folders import Folders
from engine.job import clean_query
from engine.models.base import Listener, Model
from engine.models.tasks import as_listener
from engine.status import Heard

from .arguments import checked_rate, checked_samples

__all__ = ["heard_by", "listen", "load_listener", "suggest"]

_BLOCK = 1 << 18  # frames between two reports of progress


def suggest(query: str) -> tuple[Suggestion, ...]:
    """Return terms that may work better than a query, the best one first.

    Each has `term`, what to ask for; `relation` to the query; and `gain`, how well `compact`
    separates it, in dB of SI-SDR improvement (None where nobody measured it). No model is loaded.

    Raises
    ------
    BadQuery
        The query is empty or too long.

    """
    return suggestions.suggest(clean_query(query))


def listen(
    array: npt.ArrayLike,
    rate: SupportsIndex,
    *,
    model: str | Model = "ears",
    on_progress: Callable[[float], None] | None = None,
) -> tuple[Heard, ...]:
    """Name the sounds of a recording, the likeliest first; none of a silent one.

    Each has `name`, which can serve as a query; `probability`, 0 to 1, of its clearest moment; and
    `events`, the stretches in which it is likely, each with `start` and `stop` in seconds and a
    `probability` of its own (`times` are their `(start, stop)`). `label` is what AudioSet calls
    the sound. Where no sound is likely, the five likeliest come without events.

    Parameters
    ----------
    array, rate, on_progress
        As in `separate`.
    model
        What `load_listener` returned, or the name of a model that listens.

    Raises
    ------
    BadInput
        An argument cannot be used, or the model does not listen.
    Failure
        The model answered with something that cannot be used.

    """
    samples, hertz = checked_samples(array), checked_rate(rate)
    listener = heard_by(model)
    step = on_progress or (lambda _: None)

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, samples.shape[1], _BLOCK):
            step(start / samples.shape[1])
            yield samples[:, start : start + _BLOCK]

    heard = hear(blocks(), hertz, len(samples), listener)
    step(1.0)
    return heard.sounds


def load_listener(model: str = "ears") -> Listener:
    """Load a model that listens, to be used for any number of recordings.

    Raises
    ------
    BadInput
        The model of that name separates, and does not listen.
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing or damaged.

    """
    return models.load_listener(Folders.of_user(), model)


def heard_by(model: str | Model) -> Listener:
    """Return the model itself, or the one of that name; BadInput if it does not listen."""
    return load_listener(model) if isinstance(model, str) else as_listener(model)
