"""Separating arrays: all at once, or piece by piece with a bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from engine import models
from engine.advice.contest import competition
from engine.advice.examples import embedding, placed
from engine.errors import BadAudio
from engine.folders import Folders
from engine.models.base import Competing, FloatArray, Listener, Separator, Tunable
from engine.models.tasks import as_separator
from engine.options import Options
from engine.sound import core
from engine.sound.certainty import CertaintyGrid
from engine.sound.masks import Rule
from engine.sound.mixture import ArrayMixture, Mixture, decode
from engine.sound.rest import heard_rest, is_fit, is_heard
from engine.sound.team import Member, Team, Traits
from engine.status import Certainty

from .advice import heard_by
from .arguments import (
    Like,
    checked_example,
    checked_nots,
    checked_options,
    checked_queries,
    checked_rate,
    checked_samples,
)

__all__ = ["Piece", "Separation", "load", "loaded", "separate", "stream"]


_FIRST = 0.15  # share of the progress that belongs to a first answer, where there is one


@dataclass(frozen=True)
class _Asked:
    """What is asked for, checked.

    `embed` turns it into vectors where a sound is shown; `hearer` hears the rest, where that is to
    compete.
    """

    queries: tuple[str, ...]
    nots: tuple[str, ...]
    compete: bool
    embed: Callable[[str], FloatArray] | None = None
    hearer: Listener | None = None


def _ignore(_: float) -> None:
    """Follow no progress."""


@dataclass(frozen=True, eq=False)
class Separation:
    """What a mixture was separated into.

    Attributes
    ----------
    targets
        `(queries, channels, frames)`, float32: what each query describes.
    residual
        `(channels, frames)`, float32: the mixture minus the sum of the targets.
    presence
        For each query the probability, 0 to 1, that its sound is there at all, as the model says
        that separates; empty if it does not estimate it.
    certainty
        For each query the same over time: `values`, each about `step` seconds. Empty like
        `presence`.

    """

    targets: npt.NDArray[np.float32]
    residual: npt.NDArray[np.float32]
    presence: tuple[float, ...]
    certainty: tuple[Certainty, ...] = ()


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of the result of `stream`.

    Attributes
    ----------
    start
        Frame of the mixture at which it begins.
    targets
        `(queries, channels, frames)`, float32.
    residual
        `(channels, frames)`, float32.

    """

    start: int
    targets: npt.NDArray[np.float32]
    residual: npt.NDArray[np.float32]


def load(model: str = "compact") -> Separator:
    """Load a model, to be used for any number of separations.

    Parameters
    ----------
    model
        A name that `tweeze models` lists. `compact` comes with Tweeze; others are read from where
        `tweeze models` put them.

    Raises
    ------
    UnknownModel
        There is none of that name.
    ModelBroken
        Its weights are missing or damaged.

    """
    return models.load(model, Folders.of_user())


def loaded(model: str | Separator) -> Separator:
    """Return the model itself, or the one of that name; BadInput if it does not separate."""
    return load(model) if isinstance(model, str) else as_separator(model)


def separate(
    array: npt.ArrayLike,
    rate: SupportsIndex,
    queries: str | Sequence[str] = (),
    *,
    nots: str | Sequence[str] = (),
    compete: bool = True,
    twice: bool = False,
    like: Like | None = None,
    listener: str | Listener = "ears",
    model: str | Separator = "compact",
    stereo: str = "independent",
    sharpness: float = 1.0,
    bandwidth: str = "full",
    on_progress: Callable[[float], None] | None = None,
) -> Separation:
    """Pull the sounds that queries describe out of a mixture.

    Parameters
    ----------
    array
        The mixture, floating-point, `(channels, frames)` or `(frames,)`; one or two channels.
    rate
        Its sample rate in Hz.
    queries
        One text, or up to 16: what each sound is, in a few words. Not needed where `like` shows it.
    nots
        What is in the mixture, too, and not wanted; it competes with the queries, and stays in the
        residual.
    compete
        Whether the queries compete with each other for what several could be.
    twice
        Whether one sound is asked for twice, and what the first answer leaves of the mixture
        competes with the second: cleaner by about half a decibel in the mean, in 3.5 times the
        time. For mixtures of up to 20 s, without `nots` and `like`, and models that can be shown a
        sound, like compact; elsewhere it changes nothing.
    like
        What the sound is like, 30 s at most: a file, a text like "bark.wav@1.5-3" for the seconds
        1.5 to 3 of one, or samples with their rate, `(samples, rate)`. Words beside it say more.
        For models that can be shown one, like compact.
    listener
        What hears the example, and what a first answer leaves: what `load_listener` returned, or a
        name to load.
    model
        What `load` returned, or a name to load.
    stereo
        "independent" separates channel by channel, "linked" with one mask for both.
    sharpness
        The power to which masks are raised, 0.1 to 10. Above 1, less of what only resembles the
        query stays, and less of the sound's own edges.
    bandwidth
        Above the band that the model hears, "full" goes on with its top bands' mask; "model" keeps
        nothing.
    on_progress
        Called with the fraction done, 0 to 1. What it raises ends the separation.

    Returns
    -------
    separation
        Of the mixture's frames and channels, aligned to the sample.

    Raises
    ------
    BadInput
        An argument cannot be used: BadAudio, BadQuery or UnknownModel, where one of those fits.
    Failure
        The model answered with something that cannot be used.

    """
    samples, hertz = checked_samples(array), checked_rate(rate)
    options = checked_options(stereo, sharpness, bandwidth)
    asked, separator = _set_up(
        queries, nots, like, listener, model, options, compete=compete, twice=twice
    )
    mixture = ArrayMixture(samples, hertz, separator.frame_grid.sample_rate)
    targets = np.empty((len(asked.queries), *samples.shape), np.float32)
    residual = np.empty_like(samples)
    over_time: npt.NDArray[np.float32] = np.zeros((0, 1), np.float32)
    for piece in _pieces(mixture, separator, asked, options, on_progress or _ignore):
        span = slice(piece.start, piece.start + piece.targets.shape[-1])
        targets[..., span], residual[:, span] = piece.targets, piece.residual
        if piece.checkpoint is not None:
            over_time = piece.checkpoint.certainty
    frames = mixture.model_samples // separator.frame_grid.hop + 1
    step = CertaintyGrid(separator.frame_grid, frames).step
    certainty = tuple(Certainty.rounded(step, row) for row in over_time)
    presence = tuple(float(share) for share in over_time.max(axis=1))
    return Separation(targets, residual, presence, certainty)


def stream(
    blocks: Iterable[npt.ArrayLike],
    rate: SupportsIndex,
    queries: str | Sequence[str] = (),
    *,
    nots: str | Sequence[str] = (),
    compete: bool = True,
    twice: bool = False,
    like: Like | None = None,
    listener: str | Listener = "ears",
    model: str | Separator = "compact",
    stereo: str = "independent",
    sharpness: float = 1.0,
    bandwidth: str = "full",
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[Piece]:
    """Separate a mixture of any length that comes in blocks; yields the result in pieces.

    The samples are those of `separate`, in a memory that does not grow with the length. The whole
    mixture is read before the first piece comes, because its level matters to the model; until the
    iterator ends or is closed, it lies in a temporary folder.

    Parameters are those of `separate`, but for `blocks`: arrays of the shapes that `separate`
    takes, one after the other, all with the same channels. `on_progress` counts from the moment
    when all were read.

    Raises
    ------
    BadInput
        An argument cannot be used, at once; a block cannot (BadAudio), when it is read.
    Failure
        The model answered with something that cannot be used.

    """
    hertz, options = checked_rate(rate), checked_options(stereo, sharpness, bandwidth)
    asked, separator = _set_up(
        queries, nots, like, listener, model, options, compete=compete, twice=twice
    )
    return _streamed(blocks, hertz, asked, separator, options, on_progress or _ignore)


def _streamed(
    blocks: Iterable[npt.ArrayLike],
    rate: int,
    asked: _Asked,
    separator: Separator,
    options: Options,
    on_progress: Callable[[float], None],
) -> Iterator[Piece]:
    checked = _alike(blocks)
    first = next(checked, None)
    if first is None:
        raise BadAudio("There are no blocks: give at least one frame.")
    with tempfile.TemporaryDirectory(prefix="tweeze-") as folder:
        mixture = decode(
            chain([first], checked), rate, len(first), separator.frame_grid, Path(folder)
        )
        for piece in _pieces(mixture, separator, asked, options, on_progress):
            if piece.targets.shape[-1]:
                yield Piece(piece.start, piece.targets, piece.residual)


def _alike(blocks: Iterable[npt.ArrayLike]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks, checked; BadAudio at one that has other channels than the first."""
    channels = 0
    for number, block in enumerate(blocks):
        samples = checked_samples(block)
        channels = channels or len(samples)
        if len(samples) != channels:
            raise BadAudio(
                f"Block {number} has {len(samples)} channels, and those before it {channels}."
            )
        yield samples


def _set_up(
    queries: str | Sequence[str],
    nots: str | Sequence[str],
    like: Like | None,
    listener: str | Listener,
    model: str | Separator,
    options: Options,
    *,
    compete: bool,
    twice: bool,
) -> tuple[_Asked, Separator]:
    """Return what is asked for, checked, and the model that answers, set up as `options` ask."""
    example = None if like is None else checked_example(like)
    given = (queries,) if isinstance(queries, str) else tuple(queries)
    texts = checked_queries((example.query,) if example is not None and not given else given)
    unwanted = checked_nots(nots, texts)
    separator = loaded(model)
    embed = None
    if example is not None:
        embed = embedding(separator, example, placed(example, heard_by(listener)), unwanted)
    if isinstance(separator, Tunable):
        separator = separator.tuned(options)
    hearer = None
    wanted = twice and compete and example is None
    if wanted and is_heard(texts, unwanted, Traits.of(separator)):
        hearer = heard_by(listener)
    return _Asked(texts, unwanted, bool(compete), embed, hearer), separator


def _pieces(
    mixture: Mixture,
    separator: Separator,
    asked: _Asked,
    options: Options,
    on_progress: Callable[[float], None],
) -> Iterator[core.Piece]:
    rule = Rule(separator.weight) if isinstance(separator, Competing) else Rule()
    contest = competition(asked.queries, asked.nots, rule=rule, compete=asked.compete)
    sounds = (*asked.queries, *asked.nots)
    alone = Member(separator, tuple(range(len(sounds))), asked.embed)
    team = Team(sounds, (alone,), contest)
    begun = 0.0
    if asked.hearer is not None and is_fit(mixture):
        begun = _FIRST
        rest = heard_rest(mixture, team, asked.hearer, step=lambda part: on_progress(part * begun))
        team = team if rest is None else team.beside_rest(rest)
    (member,) = team.members
    assert isinstance(member, Member)
    yield from core.pieces(
        mixture,
        separator,
        team.vectors(member),
        competition=team.competition,
        stereo=options.stereo,
        sharpness=options.sharpness,
        bandwidth=options.bandwidth,
        on_progress=lambda part: on_progress(begun + part * (1 - begun)),
    )
    on_progress(1.0)
