"""Mixture and queries in, targets out piece by piece: any length, in bounded memory, no files.

A model answers with masks, or with sources which become masks. The masks are applied to the
mixture's spectrogram *at the mixture's own rate*, on frames of the same length and spacing in
seconds, so nothing that is kept is ever resampled: an all-ones mask returns the mixture, and no
target can be shifted against it. Where the masks of several queries claim a bin more than once,
they share it. Bins above the model's band take the mean mask magnitude of its top bands.

Everything runs over segments that start on the model's grid and carry its context with them. The
plan depends on the length alone (and on how often segments were shortened for lack of memory), so
that a separation which goes on from a checkpoint ends in the same bytes as one that ran through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.errors import Failure
from engine.models.base import (
    FloatArray,
    MaskSeparator,
    PresenceSeparator,
    Separator,
    WaveformSeparator,
)
from engine.options import Bandwidth, Stereo
from engine.sound.certainty import CertaintyGrid
from engine.sound.frames import Mask, MixtureGrid, shared, sharpened
from engine.sound.mixture import Mixture, model_spectrum
from engine.sound.overlap import Checkpoint, OverlapAdd
from engine.sound.segments import Segment, plan
from engine.sound.waveform import WaveformMasks

__all__ = ["METHOD", "Checkpoint", "Piece", "pieces"]

METHOD = 3
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


def pieces(
    mixture: Mixture,
    separator: Separator,
    vectors: FloatArray,
    *,
    stereo: Stereo = Stereo.INDEPENDENT,
    sharpness: float = 1.0,
    bandwidth: Bandwidth = Bandwidth.FULL,
    reduction: int = 0,
    resume: Checkpoint | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Iterator[Piece]:
    """Separate a mixture; yields the targets from its start to its end, without gaps.

    Parameters
    ----------
    mixture
        Where samples come from.
    separator
        The loaded model.
    vectors
        `(queries, dimensions)`: what its `embed` returned for each query.
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
    grid = MixtureGrid(mixture.info.rate, separator.frame_grid)
    linked = stereo is Stereo.LINKED and mixture.info.channels > 1
    queries = len(vectors)
    answers: _Magnitudes | WaveformMasks
    if isinstance(separator, WaveformSeparator):
        answers = WaveformMasks(separator, mixture, vectors, linked=linked)
    else:
        answers = _Magnitudes(separator, mixture, vectors, linked=linked)
    frames = mixture.model_samples // separator.frame_grid.hop + 1
    certainties = CertaintyGrid(separator.frame_grid, frames)
    nothing = certainties.nothing(answers.presences)
    begin = resume or OverlapAdd.nothing(grid, queries, mixture.info.channels, nothing)
    certainty = begin.certainty
    targets = OverlapAdd(grid, mixture, begin)
    full = bandwidth is Bandwidth.FULL
    segments = plan(frames, separator.frame_grid, reduction)
    for index, segment in enumerate(segments):
        if segment.stop <= begin.done:
            continue

        def step(fraction: float, index: int = index) -> None:
            on_progress((index + fraction) / len(segments))

        masks = []
        for mask, present in answers.of(segment, step):
            certainty = certainties.raised(certainty, segment.start, present)
            masks.append(shared(sharpened(mask, sharpness)))
        last: tuple[int, FloatArray] | None = None
        for found in targets.add(segment.start, segment.stop, masks, full=full):
            if last is not None:
                yield _piece(mixture, *last, None)
            last = found
        assert last is not None
        yield _piece(mixture, *last, targets.checkpoint(segment.stop, certainty))


def _piece(mixture: Mixture, start: int, targets: FloatArray, end: Checkpoint | None) -> Piece:
    return Piece(start, mixture.samples(start, start + targets.shape[-1]), targets, end)


class _Magnitudes:
    """The masks of a model that estimates them from magnitudes."""

    def __init__(
        self, separator: MaskSeparator, mixture: Mixture, vectors: FloatArray, *, linked: bool
    ) -> None:
        self._separator = separator
        self._mixture = mixture
        self._vectors = vectors
        self._linked = linked
        self.presences = len(vectors) if isinstance(separator, PresenceSeparator) else 0

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
