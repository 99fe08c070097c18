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

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from engine.errors import Failure
from engine.models.base import (
    FloatArray,
    FrameGrid,
    MaskSeparator,
    PresenceSeparator,
    Separator,
    WaveformSeparator,
)
from engine.options import Bandwidth, Stereo
from engine.sound.certainty import CertaintyGrid
from engine.sound.frames import Mask, MixtureGrid
from engine.sound.masks import Competition, steered
from engine.sound.mixture import Mixture, model_spectrum
from engine.sound.overlap import Checkpoint, Layer, OverlapAdd
from engine.sound.segments import Segment, plan
from engine.sound.waveform import WaveformMasks

__all__ = ["METHOD", "Checkpoint", "Part", "Piece", "estimates", "pieces", "pieces_of"]

METHOD = 4
"""Raised whenever the same masks give other samples: checkpoints of another method do not fit."""
_TICK = 0.05  # seconds between two looks at how far several models are


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


@dataclass(frozen=True, eq=False)
class Part:
    """What one model answers in a separation.

    Attributes
    ----------
    separator
        The loaded model.
    mixture
        Where samples come from; its other rate is that at which the model hears.
    vectors
        `(sounds, dimensions)`: what its `embed` returned for each sound.
    sounds
        The places of these sounds among all that the separation names, the queries first.

    """

    separator: Separator
    mixture: Mixture
    vectors: FloatArray
    sounds: tuple[int, ...]


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
    parts: Sequence[Part],
    competition: Competition,
    *,
    stereo: Stereo = Stereo.INDEPENDENT,
    sharpness: float = 1.0,
    bandwidth: Bandwidth = Bandwidth.FULL,
    reduction: int = 0,
    resume: Checkpoint | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Iterator[Piece]:
    """Do what `pieces` does with several models.

    The first of `parts` says on which frames all masks lie. The others must be waveform models, or
    have the same frame grid.

    Raises
    ------
    Failure
        A model answered with something that cannot be used.
    MemoryError, RuntimeError
        There is not enough memory.

    """
    lead = parts[0]
    mixture, frame_grid = lead.mixture, lead.separator.frame_grid
    grid = MixtureGrid(mixture.info.rate, frame_grid)
    linked = stereo is Stereo.LINKED and mixture.info.channels > 1
    answers = [
        _Answers.of_part(part, frame_grid, competition.queries, linked=linked) for part in parts
    ]
    frames = mixture.model_samples // frame_grid.hop + 1
    certainties = CertaintyGrid(frame_grid, frames)
    estimated = any(answer.present for answer in answers)
    nothing = certainties.nothing(competition.queries if estimated else 0)
    begin = resume or OverlapAdd.nothing(grid, competition.queries, mixture.info.channels, nothing)
    certainty = begin.certainty
    targets = OverlapAdd(grid, mixture, begin)
    segments = plan(frames, frame_grid, reduction)

    def steer(masks: Mask) -> Mask:
        return steered(masks, competition, sharpness)

    for index, segment in enumerate(segments):
        if segment.stop <= begin.done:
            continue

        def step(fraction: float, index: int = index) -> None:
            on_progress((index + fraction) / len(segments))

        layers = []
        for answer, found_masks in zip(answers, _asked(answers, segment, step), strict=True):
            for _, present in found_masks:
                certainty = _raised(certainties, certainty, segment.start, present, answer.present)
            masks = [mask for mask, _ in found_masks]
            layers.append(Layer(answer.heard, answer.sounds, masks))
        last: tuple[int, FloatArray] | None = None
        full = bandwidth is Bandwidth.FULL
        for found in targets.add(segment.start, segment.stop, layers, steer, full=full):
            if last is not None:
                yield _piece(mixture, *last, None)
            last = found
        assert last is not None
        yield _piece(mixture, *last, targets.checkpoint(segment.stop, certainty))


def _asked(
    answers: Sequence[_Answers], segment: Segment, on_progress: Callable[[float], None]
) -> list[list[tuple[Mask, FloatArray]]]:
    """Return what each model answers to a segment; several are asked at once.

    `on_progress` is called in this thread, and what it raises ends all of them.
    """
    if len(answers) == 1:
        return [list(answers[0].masks.of(segment, on_progress))]
    shares = [0.0] * len(answers)
    ended = threading.Event()

    def ask(number: int) -> list[tuple[Mask, FloatArray]]:
        def step(share: float) -> None:
            shares[number] = share
            if ended.is_set():
                raise _EndedError

        return list(answers[number].masks.of(segment, step))

    with ThreadPoolExecutor(len(answers)) as pool:
        asked = [pool.submit(ask, number) for number in range(len(answers))]
        try:
            waiting = set(asked)
            while waiting:
                done, waiting = wait(waiting, _TICK, FIRST_EXCEPTION)
                for one in done:
                    one.result()
                on_progress(sum(shares) / len(shares))
            return [one.result() for one in asked]
        except BaseException:
            ended.set()
            raise


class _EndedError(Exception):
    """Ends a thread whose answer nobody waits for any more."""


def estimates(parts: Sequence[Part], queries: int) -> tuple[bool, ...]:
    """Return for each query whether its model estimates when its sound is there."""
    able = {
        sound
        for part in parts
        if isinstance(part.separator, PresenceSeparator)
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
    """Return the certainty with a model's presence of its queries in it; see `_Answers`."""
    if not queries:
        return certainty
    out: FloatArray = certainty.copy()
    rows = list(queries)
    out[rows] = certainties.raised(certainty[rows], start, present[: len(rows)])
    return out


def _piece(mixture: Mixture, start: int, targets: FloatArray, end: Checkpoint | None) -> Piece:
    return Piece(start, mixture.samples(start, start + targets.shape[-1]), targets, end)


@dataclass(frozen=True, eq=False)
class _Answers:
    """Where the masks of one model come from, and what they are of.

    `present` are the queries of which the model estimates presence: the first of its sounds.
    """

    masks: _Magnitudes | WaveformMasks
    heard: MixtureGrid
    sounds: tuple[int, ...]
    present: tuple[int, ...]

    @classmethod
    def of_part(cls, part: Part, frame_grid: FrameGrid, queries: int, *, linked: bool) -> _Answers:
        separator, mixture, vectors = part.separator, part.mixture, part.vectors
        heard = MixtureGrid(separator.frame_grid.sample_rate, frame_grid)
        if isinstance(separator, WaveformSeparator):
            waveform = WaveformMasks(separator, mixture, vectors, heard, linked=linked)
            return cls(waveform, heard, part.sounds, ())
        if separator.frame_grid != frame_grid:
            raise ValueError(f"{separator.name} answers on a frame grid of its own")
        present = part.sounds if isinstance(separator, PresenceSeparator) else ()
        own = tuple(sound for sound in present if sound < queries)
        if list(own) != list(present[: len(own)]):
            raise ValueError(f"the queries of {separator.name} do not come first: {part.sounds}")
        magnitudes = _Magnitudes(separator, mixture, vectors, linked=linked)
        return cls(magnitudes, heard, part.sounds, own)


class _Magnitudes:
    """The masks of a model that estimates them from magnitudes."""

    def __init__(
        self, separator: MaskSeparator, mixture: Mixture, vectors: FloatArray, *, linked: bool
    ) -> None:
        self._separator = separator
        self._mixture = mixture
        self._vectors = vectors
        self._linked = linked

    def of(
        self, segment: Segment, on_progress: Callable[[float], None]
    ) -> Iterator[tuple[Mask, FloatArray]]:
        """Yield masks `(queries, frames, bins)`, one a channel or one for all, with presence."""
        magnitude = np.abs(
            model_spectrum(self._mixture, self._separator.frame_grid, segment.first, segment.last)
        )
        if self._linked:
            magnitude = np.sqrt(np.mean(magnitude**2, axis=0, keepdims=True))
        keep = slice(segment.start - segment.first, segment.stop - segment.first)
        for channel in range(len(magnitude)):
            on_progress(channel / len(magnitude))
            mask, presence = self._asked(magnitude[channel : channel + 1], keep)
            yield mask[:, 0, keep], presence

    def _asked(self, magnitude: FloatArray, keep: slice) -> tuple[Mask, FloatArray]:
        separator, vectors, rms = self._separator, self._vectors, self._mixture.rms
        presence: FloatArray = np.zeros((0, 0), np.float32)
        mask: Mask
        if isinstance(separator, PresenceSeparator):
            mask, presence = separator.mask_with_presence(magnitude, vectors, rms, keep)
            # NaN compares with nothing, so each must lie inside.
            inside = (presence >= 0) & (presence <= 1)
            blocks = -(-(keep.stop - keep.start) // separator.frame_grid.block)
            if presence.shape != (len(vectors), blocks) or not inside.all():
                raise Failure(
                    f"The model {separator.name} returned presence values that are not "
                    "probabilities, or not one a block: its weights are damaged, see "
                    "'tweeze models'."
                )
        else:
            mask = separator.mask(magnitude, vectors, rms, keep)
        if mask.shape != (len(vectors), *magnitude.shape) or not np.isfinite(mask).all():
            raise Failure(
                f"The model {separator.name} returned a mask of the wrong shape or with numbers "
                f"that are not finite (shape {mask.shape}): its weights are damaged, see "
                "'tweeze models'."
            )
        return mask, presence
