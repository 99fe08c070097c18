"""Draws mixtures as plans: which clips, how changed, where, how loud, and what is asked of them.

A plan holds numbers alone and is quick to draw, so processes without any sound can draw plans
ahead of the device that renders them (`engine.training.rendering`). Draws follow
`engine.training.mixing`; a plan depends on the clips, the seed and the number of the step alone.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from engine import processes
from engine.taxonomy.text import load_text_table
from engine.training.asking import Asker, UnknownQueries, sounds_of
from engine.training.corpus import SAMPLE_RATE
from engine.training.losses import QUERIES
from engine.training.mixing import (
    KNOTS,
    LEVEL,
    NOISE_DB,
    NOISE_SLOPES,
    ROOM_LEVELS,
    ROOM_SECONDS,
    ROOM_SHARE,
    SPEED_SHARE,
    SPEEDS,
    TONE_DB,
    TONE_SHARE,
    ClipStore,
    Mixer,
    places,
)
from engine.training.train import RMS_JITTER_DB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.taxonomy.text import TextTable
    from engine.training.corpus import Clip
    from engine.training.mixing import MixingOptions

__all__ = ["LONGEST", "Plan", "Planner", "Plans"]

LONGEST = 6 * SAMPLE_RATE
"""Samples of a clip that are used."""
AHEAD = 3
"""Plans that are drawn ahead, for each process."""


@dataclass(frozen=True)
class Plan:
    """A batch of mixtures before it is sound; ``sources`` of all mixtures stand in one row."""

    seed: int
    """For what the renderer draws itself: rooms, noise."""
    start: NDArray[np.int64]
    """``(sources,)``, as are those up to ``mixture``: a clip's first sample."""
    length: NDArray[np.int64]
    """Its samples."""
    speed: NDArray[np.float64]
    heard: NDArray[np.int64]
    """Samples at that speed."""
    room: NDArray[np.int64]
    """Samples of the room's answer; 0 without one."""
    wet: NDArray[np.float32]
    """Level of the room's answer."""
    size: NDArray[np.int64]
    """Samples with the room's echo."""
    level: NDArray[np.float32]
    """RMS in the mixture."""
    mixture: NDArray[np.int64]
    """Number of the mixture that the source belongs to."""
    tone: NDArray[np.float32]
    """``(sources, knots)``: gains in dB; all 0 without an equaliser."""
    onsets: NDArray[np.int64]
    """``(sources, times)``: where it begins; what is left of a row lies after the end."""
    gains: NDArray[np.float32]
    """``(sources, times)``"""
    noise: NDArray[np.float32]
    """``(mixtures,)``, as is ``slope``: amplitude of the noise to the mixture's; mostly 0."""
    slope: NDArray[np.float32]
    """How fast the noise falls with frequency."""
    jitter: NDArray[np.float32]
    """``(mixtures,)``: factor on the measured rms."""
    vectors: NDArray[np.float32]
    """``(items, 2 * dim)``: what each query asks for, and what its target must not hold."""
    fitting: NDArray[np.int64]
    """``(n, 2)``: an item, and a source that its target holds."""
    whole: NDArray[np.int64]
    """Items that mean nothing: their target is the mixture."""
    meant: NDArray[np.int64]
    """The other items."""


class Planner:
    """Draws plans from the clips for training.

    With ``clip_places`` sounds stand for some words, see `engine.training.shown`.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        taxonomy: Taxonomy,
        table: TextTable,
        options: MixingOptions,
        clip_places: NDArray[np.floating] | None = None,
    ) -> None:
        self.taxonomy = taxonomy
        self.options = options
        self.clip_places = clip_places
        shown = sounds_of(clips, clip_places, taxonomy, table)
        embed = lru_cache(1 << 16)(table.embed)
        self._asker = Asker(embed, UnknownQueries(table, taxonomy), shown)
        self.move(clips)

    def move(self, clips: Sequence[Clip]) -> None:
        """Take the clips from other places from now on."""
        self.clips = clips
        nothing = np.zeros(0, np.int16)
        self._mixer = Mixer(ClipStore(nothing, clips), self.taxonomy, self.options)
        self.captions = self._mixer.captions

    def plan(self, mixtures: int, rng: np.random.Generator) -> Plan:
        """Draw a batch."""
        options = self.options
        sources: list[tuple[float, ...]] = []
        tones, placed, vectors, whole, fitting = [], [], [], [], []
        for mixture in range(mixtures):
            names = self._mixer.draw_classes(rng)
            first = len(sources)
            for index, name in enumerate(names):
                level = 0.0 if index == 0 else -rng.triangular(*options.snr)
                row, tone = self._source(name, rng)
                sources.append((*row, LEVEL * 10 ** (level / 20), mixture))
                tones.append(tone)
                placed.append(places(int(row[-1]), options.samples, rng))
            for index in range(QUERIES):
                item = mixture * QUERIES + index
                question = self._mixer.question(names, index % len(names), rng)
                if not question.caption:
                    whole.append(item)
                vectors.append(self._asker.vector(question.caption, question.against, rng))
                fitting += [(item, first + number) for number in question.fitting]
        columns = np.array(sources).T
        start, length, speed, heard, room, wet, size, level, number = columns
        onsets, gains = _rows(placed, options.samples)
        bed = rng.random(mixtures) < options.noise
        noise = 10 ** (-rng.uniform(*NOISE_DB, mixtures) / 20) * bed
        jitter = 10 ** (rng.uniform(-RMS_JITTER_DB, RMS_JITTER_DB, mixtures) / 20)
        return Plan(
            seed=int(rng.integers(1 << 62)),
            start=start.astype(np.int64),
            length=length.astype(np.int64),
            speed=speed,
            heard=heard.astype(np.int64),
            room=room.astype(np.int64),
            wet=wet.astype(np.float32),
            size=size.astype(np.int64),
            level=level.astype(np.float32),
            mixture=number.astype(np.int64),
            tone=np.stack(tones).astype(np.float32),
            onsets=onsets,
            gains=gains,
            noise=noise.astype(np.float32),
            slope=rng.uniform(*NOISE_SLOPES, mixtures).astype(np.float32),
            jitter=jitter.astype(np.float32),
            vectors=np.stack(vectors).astype(np.float32),
            fitting=np.array(fitting, np.int64).reshape(-1, 2),
            whole=np.array(whole, np.int64),
            meant=np.setdiff1d(np.arange(mixtures * QUERIES), whole),
        )

    def _source(
        self, name: str, rng: np.random.Generator
    ) -> tuple[tuple[float, ...], NDArray[np.float64]]:
        """Draw a clip and what is done to it, as `engine.training.mixing.augment` does."""
        clip = self._mixer.draw_clip(name, rng)
        length, speed, room, wet = min(clip.length, LONGEST), 1.0, 0, 0.0
        tone = np.zeros(KNOTS.size)
        heard = length
        if rng.random() < self.options.augment:
            if rng.random() < SPEED_SHARE:
                speed = rng.uniform(*SPEEDS)
                heard = len(np.arange(0, length - 1, speed))
            if rng.random() < TONE_SHARE:
                tone = rng.uniform(-TONE_DB, TONE_DB, KNOTS.size)
            if rng.random() < ROOM_SHARE:
                room = int(rng.uniform(*ROOM_SECONDS) * SAMPLE_RATE)
                wet = rng.uniform(*ROOM_LEVELS)
        size = heard + room // 2 if room else heard
        return (clip.start, length, speed, heard, room, wet, size), tone


def _rows(
    placed: Sequence[Sequence[tuple[int, float]]], samples: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return onsets and gains as rows of the same length."""
    times = max(len(row) for row in placed)
    onsets = np.full((len(placed), times), samples, np.int64)
    gains = np.zeros((len(placed), times), np.float32)
    for number, row in enumerate(placed):
        for time, (onset, gain) in enumerate(row):
            onsets[number, time] = onset
            gains[number, time] = gain
    return onsets, gains


class Plans:
    """The plans of the steps of a run, drawn ahead by some processes, or as they are asked for."""

    def __init__(self, planner: Planner, seed: int, workers: int) -> None:
        self.planner = planner
        self._seed = seed
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._ahead: deque[tuple[int, int, Future[Plan]]] = deque()

    def take(self, step: int, mixtures: int) -> Plan:
        """Return the plan of a step."""
        if not self._workers:
            return _draw(self.planner, self._seed, step, mixtures)
        while self._ahead and self._ahead[0][:2] != (step, mixtures):
            self._ahead.popleft()[2].cancel()
        following = self._ahead[-1][0] + 1 if self._ahead else step
        for number in range(following, step + AHEAD * self._workers):
            self._ahead.append((number, mixtures, self._submit(number, mixtures)))
        return self._ahead.popleft()[2].result()

    def close(self) -> None:
        """Send the processes home."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _submit(self, step: int, mixtures: int) -> Future[Plan]:
        with processes.isolated():
            if self._pool is None:
                planner = self.planner
                self._pool = ProcessPoolExecutor(
                    self._workers,
                    multiprocessing.get_context("spawn"),
                    _begin,
                    (planner.clips, planner.taxonomy, planner.options, planner.clip_places),
                )
            return self._pool.submit(_draw_here, self._seed, step, mixtures)


def _draw(planner: Planner, seed: int, step: int, mixtures: int) -> Plan:
    return planner.plan(mixtures, np.random.default_rng((seed, step)))


_planner: Planner | None = None  # of a process that draws ahead


def _begin(
    clips: Sequence[Clip],
    taxonomy: Taxonomy,
    options: MixingOptions,
    clip_places: NDArray[np.floating] | None,
) -> None:
    global _planner
    _planner = Planner(clips, taxonomy, load_text_table(), options, clip_places)


def _draw_here(seed: int, step: int, mixtures: int) -> Plan:
    assert _planner is not None
    return _draw(_planner, seed, step, mixtures)
