"""Overlap-add of masked frames at a mixture's own rate, handed out as samples become final."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.cores import ahead
from engine.models.base import FloatArray
from engine.sound.frames import Mask, MixtureGrid, inverse, masked, spectrum, window
from engine.sound.mixture import Mixture, frames_around

__all__ = ["Checkpoint", "Layer", "OverlapAdd"]

_GROUP = 1 << 18  # samples of windowed frames that are transformed at a time, in each thread


@dataclass(frozen=True, eq=False)
class Layer:
    """The masks that one model answered with, for a segment.

    Attributes
    ----------
    heard
        The frames of the job at the rate at which the model hears.
    sounds
        Places of its masks among those of all sounds of the job.
    masks
        One of shape `(len(sounds), frames, bins)` for each channel, or one for all.

    """

    heard: MixtureGrid
    sounds: tuple[int, ...]
    masks: Sequence[Mask]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What it takes to go on behind the last finished segment.

    Attributes
    ----------
    done
        Model frames before which everything is finished.
    base
        Frame of the mixture before which all samples were handed out; below 0 at the start.
    sums, weights
        `(queries, channels, samples)` and `(samples,)` in float64, from `base` on: what the
        finished frames reach into the samples that are not final.
    certainty
        `(queries, values)`: how sure the model is so far that each sound is there, value by value
        (see `engine.sound.certainty`); `(0, values)` where it estimates nothing of the kind.

    """

    done: int
    base: int
    sums: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    certainty: FloatArray

    @property
    def presence(self) -> FloatArray:
        """The maximum of each query's certainty so far, `(queries,)`."""
        maximum: FloatArray = self.certainty.max(axis=1)
        return maximum


class OverlapAdd:
    """Sums of all targets, from a checkpoint on.

    Samples are added up in float64 in the order of the frames, so that the sums are the same
    wherever a segment ends.
    """

    def __init__(self, grid: MixtureGrid, mixture: Mixture, begin: Checkpoint) -> None:
        self._grid = grid
        self._mixture = mixture
        self._window = window(grid.width)
        self._base = begin.base
        self._sums = begin.sums.copy()
        self._weights = begin.weights.copy()

    @classmethod
    def nothing(
        cls, grid: MixtureGrid, queries: int, channels: int, certainty: FloatArray
    ) -> Checkpoint:
        """Return the checkpoint before the first frame."""
        return Checkpoint(
            done=0,
            base=-(grid.width // 2),
            sums=np.zeros((queries, channels, 0)),
            weights=np.zeros(0),
            certainty=certainty,
        )

    def checkpoint(self, done: int, certainty: FloatArray) -> Checkpoint:
        """Return what it takes to go on from here."""
        return Checkpoint(done, self._base, self._sums.copy(), self._weights.copy(), certainty)

    def add(
        self,
        start: int,
        stop: int,
        layers: Sequence[Layer],
        steer: Callable[[Mask, int], Mask],
        *,
        full: bool,
        silent: Callable[[int, int], bool] = lambda start, stop: False,
        threads: int | None = None,
    ) -> Iterator[tuple[int, FloatArray]]:
        """Apply the masks of model frames `[start, stop)`, the next ones.

        `steer` makes the queries' masks out of those of all sounds, both with the sounds first,
        on the mixture's grid; it is told the number of their first frame, too. Yields where
        samples of the targets begin that are final, and the samples, `(queries, channels,
        frames)`; they may be none. Frames are left out where `silent` says of frames of the
        mixture, from one to another, that no target will hold anything there. `threads` is the
        number of threads at most; each takes memory.
        """
        group = max(1, _GROUP // self._grid.width)
        cuts = [*range(start, stop, group), stop]

        def masked_frames(first: int, last: int) -> list[FloatArray]:
            centres = self._grid.centres(first, last)
            reach = self._grid.width // 2
            if silent(int(centres[0]) - reach, int(centres[-1]) + reach):
                return []
            part = slice(first - start, last - start)
            return self._masked(first, last, layers, part, steer, full=full)

        for (first, last), found in ahead(masked_frames, list(pairwise(cuts)), threads):
            centres = self._grid.centres(first, last)
            for query, frames in enumerate(found):
                self._add(query, frames, centres)
            self._weigh(centres)
            reached = int(self._grid.centres(last, last + 1)[0]) - self._grid.width // 2
            ended = last == self._mixture.model_samples // self._grid.frame_grid.hop + 1
            yield self._taken(self._mixture.info.frames if ended else reached)

    def _masked(
        self,
        first: int,
        last: int,
        layers: Sequence[Layer],
        part: slice,
        steer: Callable[[Mask, int], Mask],
        *,
        full: bool,
    ) -> list[FloatArray]:
        """Return the windowed frames of each target, `(channels, frames, width)`."""
        width = self._grid.width
        centres = self._grid.centres(first, last)
        around = frames_around(self._mixture.samples, self._mixture.info.frames, centres, width)
        mixture = spectrum(around, self._window, 1)
        masks = [
            steer(self._gathered(layers, channel, part, full=full), first)
            for channel in range(len(layers[0].masks))
        ]
        found = []
        for query in range(len(masks[0])):
            spread = np.stack([mask[query] for mask in masks])
            found.append(inverse(masked(mixture, spread), width, 1) * self._window)
        return found

    def _gathered(self, layers: Sequence[Layer], channel: int, part: slice, *, full: bool) -> Mask:
        """Return the masks of all sounds on the mixture's grid: `(sounds, frames, bins)`."""
        found = [
            self._grid.spread(layer.masks[channel][:, part], layer.heard, full=full)
            for layer in layers
        ]
        if len(found) == 1:
            return found[0]
        sounds = sum(len(mask) for mask in found)
        out = np.empty((sounds, *found[0].shape[1:]), np.result_type(*found))
        for layer, mask in zip(layers, found, strict=True):
            out[list(layer.sounds)] = mask
        return out

    def _add(self, query: int, frames: FloatArray, centres: npt.NDArray[np.int64]) -> None:
        starts = self._starts(centres)
        sums = self._sums[query]
        for number, start in enumerate(starts):
            sums[:, start : start + self._grid.width] += frames[:, number]

    def _weigh(self, centres: npt.NDArray[np.int64]) -> None:
        squared = self._window.astype(np.float64) ** 2
        for start in self._starts(centres):
            self._weights[start : start + self._grid.width] += squared

    def _starts(self, centres: npt.NDArray[np.int64]) -> list[int]:
        """Return where frames begin in the sums, which grow until they hold the last one."""
        starts = centres - self._grid.width // 2 - self._base
        missing = int(starts[-1]) + self._grid.width - len(self._weights)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, missing)))
            self._weights = np.pad(self._weights, (0, missing))
        listed: list[int] = starts.tolist()
        return listed

    def _taken(self, end: int) -> tuple[int, FloatArray]:
        """Take out all samples before `end`: no later frame reaches them."""
        end = min(end, self._mixture.info.frames)
        start = max(self._base, 0)
        span = slice(start - self._base, max(end, start) - self._base)
        # "+ 0.0" makes a negative zero positive: then mixture - 0 is the mixture, bit by bit
        targets = (self._sums[:, :, span] / self._weights[span] + 0.0).astype(np.float32)
        if end > self._base:
            self._sums = self._sums[:, :, end - self._base :]
            self._weights = self._weights[end - self._base :]
            self._base = end
        return start, targets
