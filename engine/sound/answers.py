"""What models answer to a mixture, segment by segment, worked out ahead of whoever takes it.

A model that can be asked by several threads at once (`engine.models.base.Shareable`) is asked for
the channels, and for the segments to come, side by side: each of those answers takes one processor,
and all together keep all of them at work. Other models are asked in their own order. What comes out
is in order, and the same, however the threads took turns.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

import numpy as np

from engine.cores import threads
from engine.errors import Failure
from engine.models.base import (
    FloatArray,
    FrameGrid,
    MaskSeparator,
    PresenceSeparator,
    Separator,
    Shareable,
    WaveformSeparator,
)
from engine.sound.frames import Mask, MixtureGrid
from engine.sound.kept import KeptMasks
from engine.sound.mixture import Mixture, model_magnitudes
from engine.sound.segments import Segment
from engine.sound.waveform import WaveformMasks

__all__ = ["Answer", "Answers", "KeptPart", "Part", "answered"]

_TICK = 0.05  # seconds between two looks at how far the models are
_LANES = 4  # answers of a model at a time, at most: each takes memory
_AHEAD = 2  # segments that are worked on behind the one that is taken, at most
_ROOM = 48 << 20  # bytes that their masks may take

Answer: TypeAlias = tuple[Mask, FloatArray]
"""Masks `(sounds, frames, bins)` of a channel, or of all of them, and presence (see `base`)."""


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

    @property
    def frame_grid(self) -> FrameGrid:
        """The model's frame grid."""
        return self.separator.frame_grid


@dataclass(frozen=True, eq=False)
class KeptPart:
    """What a model answered in an earlier separation of the same mixture.

    Attributes
    ----------
    masks
        Where its masks come from.
    mixture
        Where samples come from.
    frame_grid
        The model's frame grid.
    sounds
        As in `Part`.

    """

    masks: KeptMasks
    mixture: Mixture
    frame_grid: FrameGrid
    sounds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Answers:
    """Where the masks of one model come from, and what they are of.

    Attributes
    ----------
    masks
        Where they come from.
    heard
        The frames of the job at the rate at which the model hears.
    sounds
        Places of its sounds among all of the job.
    present
        The queries of which the model estimates presence: the first of its sounds.
    frame_bytes
        What the masks of a frame take, at most.

    """

    masks: _Magnitudes | WaveformMasks | KeptMasks
    heard: MixtureGrid
    sounds: tuple[int, ...]
    present: tuple[int, ...]
    frame_bytes: int

    @classmethod
    def of(
        cls, part: Part | KeptPart, frame_grid: FrameGrid, queries: int, *, linked: bool
    ) -> Answers:
        """Return those of a part, on the frame grid of the job; ValueError if it does not fit."""
        heard = MixtureGrid(part.frame_grid.sample_rate, frame_grid)
        numbers = len(part.sounds) * (1 if linked else part.mixture.info.channels) * heard.bins
        if isinstance(part, KeptPart):
            return cls(part.masks, heard, part.sounds, (), 8 * numbers)
        separator, mixture, vectors = part.separator, part.mixture, part.vectors
        if isinstance(separator, WaveformSeparator):
            waveform = WaveformMasks(separator, mixture, vectors, heard, linked=linked)
            return cls(waveform, heard, part.sounds, (), 8 * numbers)
        if separator.frame_grid != frame_grid:
            raise ValueError(f"{separator.name} answers on a frame grid of its own")
        present = part.sounds if isinstance(separator, PresenceSeparator) else ()
        own = tuple(sound for sound in present if sound < queries)
        if list(own) != list(present[: len(own)]):
            raise ValueError(f"the queries of {separator.name} do not come first: {part.sounds}")
        magnitudes = _Magnitudes(separator, mixture, vectors, linked=linked)
        return cls(magnitudes, heard, part.sounds, own, 4 * numbers)

    @property
    def shared(self) -> _Magnitudes | None:
        """Where the masks come from, if several threads may ask at once."""
        masks = self.masks
        return masks if isinstance(masks, _Magnitudes) and masks.is_shareable else None


def answered(
    answers: Sequence[Answers],
    segments: Sequence[Segment],
    done: int,
    on_progress: Callable[[float], None],
    *,
    sparing: bool = False,
) -> Iterator[tuple[Segment, list[list[Answer]]]]:
    """Yield segments, each with what each model answers to it.

    Parameters
    ----------
    answers
        Of all models.
    segments
        Of the whole mixture.
    done
        How many of them are left out, from the first on.
    on_progress
        Called in this thread, again and again, with the number of segments that were answered.
        What it raises ends all work.
    sparing
        Whether memory is short: then nothing is worked out ahead.

    """
    lanes = 1 if sparing else _lanes(answers, segments)
    if len(answers) == 1 and lanes == 1:
        for number, segment in enumerate(segments[done:], done):

            def step(share: float, number: int = number) -> None:
                on_progress(number + share)

            yield segment, [list(answers[0].masks.of(segment, step))]
        return
    ahead = _ahead(answers, segments) if lanes > 1 else 0
    asking = _Asking(answers, lanes)
    try:
        asked: deque[_Asked] = deque()
        coming = iter(segments[done:])
        for number in range(done, len(segments)):
            asked.extend(map(asking.ask, islice(coming, ahead + 1 - len(asked))))
            on_progress(number)
            while not asked[0].is_answered(_TICK):
                on_progress(number + asked[0].share)
            yield asked[0].segment, asked.popleft().answers()
    finally:
        asking.end()


def _lanes(answers: Sequence[Answers], segments: Sequence[Segment]) -> int:
    """Return how many askings of a model are at work at a time.

    It depends on the whole mixture, so that a separation that goes on has as many as one that ran
    through: on another number of threads a network may round otherwise.
    """
    askings = max((one.shared.askings for one in answers if one.shared is not None), default=0)
    return max(1, min(threads(), _LANES, askings * len(segments)))


def _ahead(answers: Sequence[Answers], segments: Sequence[Segment]) -> int:
    """Return how many segments are worked on behind the one that is taken."""
    longest = max(segment.stop - segment.start for segment in segments)
    size = sum(one.frame_bytes for one in answers) * longest
    return min(_AHEAD, _ROOM // size)


class _Asking:
    """The threads in which models are asked: some that share a model, and one for each other."""

    def __init__(self, answers: Sequence[Answers], lanes: int) -> None:
        self._answers = answers
        self._threads = max(1, threads() // lanes)
        self._lanes = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._own = [None if one.shared else ThreadPoolExecutor(1) for one in answers]
        self._ended = threading.Event()

    def ask(self, segment: Segment) -> _Asked:
        """Begin with a segment; those before it come first."""
        asked = _Asked(segment)
        for one, own in zip(self._answers, self._own, strict=True):
            if one.shared is not None:
                self._ask_shared(one.shared, asked)
            else:
                assert own is not None
                self._ask_alone(one.masks, asked, own)
        return asked

    def _ask_shared(self, masks: _Magnitudes, asked: _Asked) -> None:
        def ask(place: int) -> list[Answer]:
            return [masks.answer(asked.segment, place, self._threads)]

        asked.begin()
        asked.add([self._lanes.submit(ask, place) for place in range(masks.askings)])

    def _ask_alone(
        self, masks: _Magnitudes | WaveformMasks | KeptMasks, asked: _Asked, own: Executor
    ) -> None:
        def step(share: float) -> None:
            asked.shares[number] = share
            if self._ended.is_set():
                raise _EndedError

        def ask() -> list[Answer]:
            return list(masks.of(asked.segment, step))

        number = asked.begin()
        asked.add([own.submit(ask)])

    def end(self) -> None:
        """End all threads; what has not begun never does, and what has is waited for."""
        self._ended.set()
        pools = [self._lanes, *filter(None, self._own)]
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in pools:
            pool.shutdown(wait=True)


class _EndedError(Exception):
    """Ends a thread whose answer nobody waits for any more."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the models were asked of a segment; `shares` is how far each says it is."""

    segment: Segment
    shares: list[float] = field(default_factory=list)
    _futures: list[list[Future[list[Answer]]]] = field(default_factory=list)

    def begin(self) -> int:
        """Make room for the next model's share; returns its place."""
        self.shares.append(0.0)
        return len(self.shares) - 1

    def add(self, futures: list[Future[list[Answer]]]) -> None:
        """Add what the next model was asked."""
        self._futures.append(futures)

    @property
    def share(self) -> float:
        """How much of it was answered, 0 to 1."""
        done = [sum(one.done() for one in futures) / len(futures) for futures in self._futures]
        return sum(map(max, self.shares, done)) / len(done)

    def is_answered(self, seconds: float) -> bool:
        """Wait so long at most; returns whether all was answered, and raises what went wrong."""
        asked = [one for futures in self._futures for one in futures]
        done, waiting = wait(asked, seconds, FIRST_EXCEPTION)
        for one in done:
            one.result()
        return not waiting

    def answers(self) -> list[list[Answer]]:
        """Return what each model answered, once it did."""
        return [[one for future in row for one in future.result()] for row in self._futures]


class _Magnitudes:
    """The masks of a model that estimates them from magnitudes."""

    def __init__(
        self, separator: MaskSeparator, mixture: Mixture, vectors: FloatArray, *, linked: bool
    ) -> None:
        self._separator = separator
        self._mixture = mixture
        self._vectors = vectors
        self._linked = linked
        self.is_shareable = isinstance(separator, Shareable)
        self.askings = 1 if linked else mixture.info.channels

    def of(self, segment: Segment, on_progress: Callable[[float], None]) -> Iterator[Answer]:
        """Yield masks `(queries, frames, bins)`, one a channel or one for all, with presence."""
        for place in range(self.askings):
            on_progress(place / self.askings)
            yield self.answer(segment, place, threads())

    def answer(self, segment: Segment, place: int, threads: int) -> Answer:
        """Return the masks of a channel, or of all together, and presence, on so many threads."""
        separator, mixture = self._separator, self._mixture
        channels = slice(None) if self._linked else slice(place, place + 1)
        magnitude = model_magnitudes(
            mixture, separator.frame_grid, segment.first, segment.last, channels, threads
        )
        if self._linked:
            magnitude = np.sqrt(np.mean(magnitude**2, axis=0, keepdims=True))
        keep = slice(segment.start - segment.first, segment.stop - segment.first)
        with separator.computing(threads) if isinstance(separator, Shareable) else nullcontext():
            mask, presence = self._asked(magnitude, keep)
        return mask[:, 0, keep], presence

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
