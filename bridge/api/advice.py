"""What to ask for: terms near a query, and the sounds of a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex

import numpy.typing as npt

from engine.advice import suggestions
from engine.advice.listening import hear
from engine.advice.suggestions import Suggestion
from engine.job import clean_query
from engine.models.base import Separator
from engine.sound.mixture import ArrayMixture
from engine.status import Heard

from .arguments import checked_rate, checked_samples
from .separation import loaded

__all__ = ["listen", "suggest"]


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
    model: str | Separator = "compact",
    on_progress: Callable[[float], None] | None = None,
) -> tuple[Heard, ...]:
    """Name the sounds of a recording, the likeliest first.

    Each has `name`, which can serve as a query; `probability`, 0 to 1; and `times`, the stretches
    in which it is likely, `(start, stop)` in seconds. Parameters are those of `separate`.

    Raises
    ------
    BadInput
        An argument cannot be used, or the model cannot name sounds.
    Failure
        The model answered with something that cannot be used.

    """
    samples, hertz = checked_samples(array), checked_rate(rate)
    separator = loaded(model)
    mixture = ArrayMixture(samples, hertz, separator.frame_grid.sample_rate)
    heard = hear(mixture, separator, on_progress or (lambda _: None))
    if on_progress is not None:
        on_progress(1.0)
    return heard
