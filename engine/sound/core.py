"""Mixture and queries in, targets out piece by piece: any length, in bounded memory, no files.

A model answers with masks, or with sources which become masks. The masks are applied to the
mixture's spectrogram *at the mixture's own rate*, on frames of the same length and spacing in
seconds, so nothing that is kept is ever resampled: an all-ones mask returns the mixture, and no
target can be shifted against it. There the masks of all sounds compete and share (see
`engine.sound.masks`), whichever model answered for each. Bins above a model's band take the mean
mask magnitude of its top bands.

Everything runs over segments that start on the model's grid and carry its context with them. The
plan depends on the length alone (and on how often segments were shortened for lack of memory), so
that a separation which goes on from a checkpoint ends in the same bytes as one that ran through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.models.base import FloatArray, PresenceSeparator, Separator
from engine.options import Bandwidth, Stereo
from engine.sound.answers import Answers, KeptPart, Part, answered
from engine.sound.certainty import CertaintyGrid
from engine.sound.frames import Mask, MixtureGrid
from engine.sound.kept import KeptMasks
from engine.sound.masks import Competition, steered
from engine.sound.mixture import Mixture
from engine.sound.overlap import Checkpoint, Layer, OverlapAdd
from engine.sound.region import Region
from engine.sound.segments import Segment, plan

__all__ = [
    "METHOD",
    "Checkpoint",
    "KeptPart",
    "OnMasks",
    "Part",
    "Piece",
    "estimates",
    "pieces",
    "pieces_of",
]

METHOD = 6
"""Raised whenever the same masks give other samples: checkpoints of another method do not fit."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Finished samples of all targets.

    Attributes
    ----------
    start
        Frame of the mixture at which they begin.
    mixture
        `(channels, frames)`: the mixture there.
    targets
        `(queries, channels, frames)`.
    checkpoint
        At the end of a segment: what it takes to go on behind this piece. Else None.

    """

    start: int
    mixture: FloatArray
    targets: FloatArray
    checkpoint: Checkpoint | None

    @property
    def residual(self) -> FloatArray:
        """The mixture minus the sum of the targets, `(channels, frames)`."""
        rest = self.mixture.astype(np.float64) - self.targets.sum(axis=0, dtype=np.float64)
        rounded: FloatArray = rest.astype(np.float32)
        return rounded


OnMasks = Callable[[int, Segment, Sequence[Mask]], None]
"""Called with a sound, a segment, and its masks `(frames, bins)`, one a channel or one for all."""


def pieces(
    mixture: Mixture,
    separator: Separator,
    vectors: FloatArray,
    *,
    competition: Competition | None = None,
    stereo: Stereo = Stereo.INDEPENDENT,
    sharpness: float = 1.0,
    bandwidth: Bandwidth = Bandwidth.FULL,
    reduction: int = 0,
    resume: Checkpoint | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Iterator[Piece]:
    """Separate a mixture with one model; yields the targets from start to end, without gaps.

    Parameters
    ----------
    mixture
        Where samples come from.
    separator
        The loaded model.
    vectors
        `(sounds, dimensions)`: what its `embed` returned for each query, and then for what the
        targets must not hold.
    competition
        How the sounds compete; without it, all are queries, and none compete.
    stereo, sharpness, bandwidth
        As in `engine.options.Options`.
    reduction
        How often the segments are shortened, to save memory.
    resume
        A checkpoint of a piece of the same separation: goes on behind it.
    on_progress
        Called with the fraction done, before each step. What it raises ends the separation.

    Raises
    ------
    Failure
        The model answered with something that cannot be used.
    MemoryError, RuntimeError
        There is not enough memory.

    """
    part = Part(separator, mixture, vectors, tuple(range(len(vectors))))
    return pieces_of(
        (part,),
        competition or Competition.none(len(vectors)),
        stereo=stereo,
        sharpness=sharpness,
        bandwidth=bandwidth,
        reduction=reduction,
        resume=resume,
        on_progress=on_progress,
    )


def pieces_of(
    parts: Sequence[Part | KeptPart],
    competition: Competition,
    *,
    stereo: Stereo = Stereo.INDEPENDENT,
    sharpness: float = 1.0,
    bandwidth: Bandwidth = Bandwidth.FULL,
    region: Region | None = None,
    merge: bool = False,
    reduction: int = 0,
    resume: Checkpoint | None = None,
    stretch: tuple[int, int] | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
    on_masks: OnMasks | None = None,
) -> Iterator[Piece]:
    """Do what `pieces` does with several models, or with what they answered before.

    The first of `parts` says on which frames all masks lie. The others must be waveform models, or
    have the same frame grid. `region` says where targets may be; with `merge` there is one target,
    the sum of all. `on_masks` gets what models answer, as they answered, and not what was kept.
    With a `stretch`, frames of the mixture from one to another, only what holds it is done: the
    pieces begin before it and end behind it, and within it they have the bits of the whole. It
    takes parts whose masks were kept.

    Raises
    ------
    Failure
        A model answered with something that cannot be used.
    MemoryError, RuntimeError
        There is not enough memory.

    """
    lead = parts[0]
    mixture, frame_grid = lead.mixture, lead.frame_grid
    grid = MixtureGrid(mixture.info.rate, frame_grid)
    linked = stereo is Stereo.LINKED and mixture.info.channels > 1
    answers = [Answers.of(part, frame_grid, competition.queries, linked=linked) for part in parts]
    limits = region or Region.everywhere(competition.queries)
    frames = mixture.model_samples // frame_grid.hop + 1
    certainties = CertaintyGrid(frame_grid, frames)
    estimated = any(answer.present for answer in answers)
    nothing = certainties.nothing(competition.queries if estimated else 0)
    begin = resume or OverlapAdd.nothing(grid, competition.queries, mixture.info.channels, nothing)
    certainty = begin.certainty
    segments = plan(frames, frame_grid, reduction)
    if stretch is not None:
        low, high = grid.reaching(*stretch, frames)
        base = int(grid.centres(low, low + 1)[0]) - grid.width // 2
        begin = replace(begin, done=low, base=base)
        segments = (Segment(low, high, low, high),)

    def steer(masks: Mask, first: int) -> Mask:
        return limits.shaped(steered(masks, competition, sharpness), grid, first)

    targets = OverlapAdd(grid, mixture, begin)

    def silent(start: int, stop: int) -> bool:
        return limits.silent(start, stop, mixture.info.rate)

    def piece(start: int, found: FloatArray, end: Checkpoint | None) -> Piece:
        own = limits.faded(found, start, mixture.info.frames, mixture.info.rate)
        if merge:
            own = own.sum(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        return Piece(start, mixture.samples(start, start + own.shape[-1]), own, end)

    done = sum(segment.stop <= begin.done for segment in segments)
    for segment, found_answers in answered(
        answers,
        segments,
        done,
        lambda count: on_progress(count / len(segments)),
        sparing=reduction > 0,
    ):
        layers = []
        for answer, found_masks in zip(answers, found_answers, strict=True):
            for _, present in found_masks:
                certainty = _raised(certainties, certainty, segment.start, present, answer.present)
            masks = [mask for mask, _ in found_masks]
            if on_masks is not None and not isinstance(answer.masks, KeptMasks):
                for place, sound in enumerate(answer.sounds):
                    on_masks(sound, segment, [mask[place] for mask in masks])
            layers.append(Layer(answer.heard, answer.sounds, masks))
        last: tuple[int, FloatArray] | None = None
        full = bandwidth is Bandwidth.FULL
        found_pieces = targets.add(
            segment.start,
            segment.stop,
            layers,
            steer,
            full=full,
            silent=silent,
            threads=1 if reduction else None,  # where memory is short
        )
        for found in found_pieces:
            if last is not None:
                yield piece(*last, None)
            last = found
        assert last is not None
        yield piece(*last, targets.checkpoint(segment.stop, certainty))


def estimates(parts: Sequence[Part | KeptPart], queries: int) -> tuple[bool, ...]:
    """Return for each query whether its model estimates when its sound is there."""
    able = {
        sound
        for part in parts
        if isinstance(part, Part) and isinstance(part.separator, PresenceSeparator)
        for sound in part.sounds
    }
    return tuple(query in able for query in range(queries))


def _raised(
    certainties: CertaintyGrid,
    certainty: FloatArray,
    start: int,
    present: FloatArray,
    queries: tuple[int, ...],
) -> FloatArray:
    """Return the certainty with a model's presence of its queries in it; see `Answers`."""
    if not queries:
        return certainty
    out: FloatArray = certainty.copy()
    rows = list(queries)
    out[rows] = certainties.raised(certainty[rows], start, present[: len(rows)])
    return out
