"""What a first answer leaves of a mixture competes with it in a second one.

Somebody who knows what else is in a recording can say so, and gets a cleaner answer: the sounds
compete. Where nobody says it, a listener can hear it, though hardly in the mixture, where the sound
that is asked for covers it: so the model answers once, and the listener is given what is left.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soxr

from engine.models.base import FloatArray, Listener
from engine.sound.core import Part, pieces_of
from engine.sound.masks import Competition
from engine.sound.mixture import ArrayMixture, Mixture, is_silent
from engine.sound.team import Member, Rest, Team, Traits

__all__ = ["Hearer", "heard_rest", "is_fit", "is_heard", "remembered_rest"]

LONGEST = 20.0
"""Seconds of a mixture at most of which the rest is heard. One place among the words says what is
left of all of it: where other sounds followed each other, every five seconds another one, the sound
that was asked for lost by it."""
_QUIET = 0.1
"""Where the channels' mean has less than this share of their RMS, they cancel each other."""
_LOG = logging.getLogger("tweeze.rest")

Hearer = Callable[[], Listener]
"""Returns the listener, loaded; it may take a while, and may raise."""


def is_heard(queries: Sequence[str], nots: Sequence[str], traits: Traits) -> bool:
    """Return whether the rest of a mixture is to be heard and to compete.

    It is where one sound is asked for, nobody said what else is there, and a sound can steer the
    model that answers. (Where both sounds of a mixture were named, a rest that competed cost 0.7
    dB: what was left of it was theirs.)

    Parameters
    ----------
    queries, nots
        What is wanted, and what is not.
    traits
        Of the only model that answers.

    """
    return len(queries) == 1 and not nots and traits.steered


def heard_rest(
    mixture: Mixture,
    team: Team,
    listener: Listener,
    *,
    reduction: int = 0,
    step: Callable[[float], None] = lambda _: None,
) -> Rest | None:
    """Answer for a mixture, and have a listener place what is left of it.

    Parameters
    ----------
    mixture
        At its own rate and at the model's.
    team
        One model, which is `SoundSteered`, and what it is asked for.
    listener
        Places sounds where that model's vectors lie.
    reduction
        How often segments are shortened, to save memory.
    step
        Called with the fraction done, before each step. What it raises ends it.

    Returns
    -------
    rest
        None where nothing is left, and where the mixture is silent or longer than `LONGEST`.

    Raises
    ------
    Failure, MemoryError, RuntimeError
        As `engine.sound.core.pieces`.
    Exception
        What the listener raises.

    """
    if not is_fit(mixture):
        return None
    return _placed(_left(mixture, team, reduction, step), team, listener)


def remembered_rest(
    mixture: Mixture,
    team: Team,
    hearer: Hearer,
    path: Path,
    *,
    reduction: int = 0,
    step: Callable[[float], None] = lambda _: None,
) -> Rest | None:
    """Do what `heard_rest` does for a mixture that `is_fit`, once for all processes of a job.

    `path` holds what was found. Where the listener fails, nothing competes, and the log says why:
    the sound that is asked for can be had without.

    Raises
    ------
    Failure, MemoryError, RuntimeError
        As `heard_rest`.
    OSError
        The disk refuses.

    """
    place = _remembered(path)
    if place is None:
        found = None
        left = _left(mixture, team, reduction, step)
        try:
            found = _placed(left, team, hearer())
        except Exception as error:
            _LOG.warning("Answered once: the listener failed (%s).", error)
        place = found.place if found is not None else np.zeros(1, np.float32)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, place)
        temporary.replace(path)
    return Rest(place) if place.any() else None


def is_fit(mixture: Mixture) -> bool:
    """Return whether the rest of a mixture can be heard: it is no longer than `LONGEST`, and loud.

    >>> is_fit(ArrayMixture(np.zeros((1, 32_000), np.float32), 32_000, 32_000))
    False
    """
    return mixture.info.frames <= LONGEST * mixture.info.rate and not is_silent(mixture)


def _left(
    mixture: Mixture, team: Team, reduction: int, step: Callable[[float], None]
) -> FloatArray:
    """Return what a model leaves of a mixture, `(1, n)` at the model's rate."""
    (member,) = team.members
    assert isinstance(member, Member)
    rate = member.frame_grid.sample_rate
    own = ArrayMixture(_mono(mixture.resampled(0, mixture.model_samples)), rate, rate)
    part = Part(member.separator, own, team.vectors(member), member.sounds)
    nobody = Competition.none(len(team.texts))
    found = pieces_of((part,), nobody, reduction=reduction, on_progress=step)
    return np.concatenate([piece.residual for piece in found], axis=-1)


def _placed(left: FloatArray, team: Team, listener: Listener) -> Rest | None:
    rate, hertz = team.frame_grid.sample_rate, listener.hearing_grid.sample_rate
    heard = np.asarray(soxr.resample(left.T, rate, hertz).T, np.float32)
    place = listener.example(heard)
    return Rest(place) if np.isfinite(place).all() and place.any() else None


def _remembered(path: Path) -> FloatArray | None:
    """Return the place that was found before, zeros where there was none; None if nobody looked."""
    try:
        place: FloatArray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    whole = place.dtype == np.float32 and place.ndim == 1 and np.isfinite(place).all()
    return place if whole else None


def _mono(samples: FloatArray) -> FloatArray:
    """Return the channels' mean, or the louder one where they cancel each other, `(1, n)`."""
    levels = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=1))
    mean: FloatArray = samples.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
    if np.sqrt(np.square(mean, dtype=np.float64).mean()) < _QUIET * levels.max():
        loudest = int(levels.argmax())
        return samples[loudest : loudest + 1]
    return mean
