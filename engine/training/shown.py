"""Vectors of sounds for training: a network that learned from them can be shown a sound.

    python -m engine.training.shown STORE

What the listener makes of every clip for training is written to ``STORE/places.npy``. Where that
file is, `engine.training.train` asks for some sounds by another clip of their class in place of
words, and names some of those that a target must not hold in the same way.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from engine.models import ears
from engine.models.ears.listener import Ears
from engine.training.corpus import SAMPLE_RATE, TRAIN, read_clips
from engine.training.teacher import corrected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from engine.taxonomy.classes import Taxonomy
    from engine.training.corpus import Clip

__all__ = ["ShownSounds", "placed_clips", "write_places"]

PLACES = "places.npy"
"""Its name in a store, and in a pack of it."""
QUERY_SHARE, AGAINST_SHARE = 0.2, 0.5
"""How often a sound stands for words."""
MIXED_IN = 0.5
"""How much of the wanted sound is at most in what is shown of an unwanted one: what a first answer
leaves of a mixture is no purer."""
_LONGEST = 6 * SAMPLE_RATE
_PROCESSES = 2


class ShownSounds:
    """Draws clips that stand for captions.

    Parameters
    ----------
    clips
        Those for training.
    places
        ``(clips, 128)``: where the listener places each; zeros where it hears nothing.
    taxonomy
        Says which classes a caption is the own one of.
    steer
        Turns a place into the vector of a query (`Compact.embed_sound`).

    """

    def __init__(
        self,
        clips: Sequence[Clip],
        places: NDArray[np.float32],
        taxonomy: Taxonomy,
        steer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    ) -> None:
        if places.shape != (len(clips), places.shape[1]):
            raise ValueError(f"{len(places)} places for {len(clips)} clips")
        self._places = places
        self._steer = steer
        rows: dict[str, list[int]] = defaultdict(list)
        for row, clip in enumerate(clips):
            if places[row].any():
                rows[clip.name].append(row)
        self._rows: dict[str, list[int]] = defaultdict(list)
        for name, known in taxonomy.classes.items():
            for caption in known.captions:
                self._rows[caption] += rows[name]

    def query(self, caption: str, rng: np.random.Generator) -> NDArray[np.float32] | None:
        """Return ``(dim,)`` of a clip in place of a caption now and then, else None."""
        if rng.random() >= QUERY_SHARE:
            return None
        place = self._place(caption, rng)
        return None if place is None else self._steer(place)

    def against(
        self, caption: str, wanted: str, rng: np.random.Generator
    ) -> NDArray[np.float32] | None:
        """Do the same for what a target must not hold, beside the caption of what it is to hold."""
        if rng.random() >= AGAINST_SHARE:
            return None
        place, other = self._place(caption, rng), self._place(wanted, rng)
        if place is None:
            return None
        if other is not None:
            place = place + np.float32(rng.uniform(0, MIXED_IN)) * other
        return self._steer(np.asarray(place / np.linalg.norm(place), np.float32))

    def _place(self, caption: str, rng: np.random.Generator) -> NDArray[np.float32] | None:
        rows = self._rows.get(caption)
        if not rows:
            return None
        return np.asarray(self._places[rows[rng.integers(len(rows))]], np.float32)


def placed_clips(store: Path) -> tuple[list[Clip], NDArray[np.float32] | None]:
    """Return a corpus's clips for training, and their places, ``(clips, dim)``.

    None stands for the places where `write_places` was not run.
    """
    clips = _for_training(store)
    if not (store / PLACES).is_file():
        return clips, None
    return clips, np.asarray(np.load(store / PLACES, allow_pickle=False), np.float32)


def agreed(store: Path) -> tuple[list[Clip], NDArray[np.float32] | None]:
    """Return a corpus's clips for training, and their places (`placed_clips`).

    What a teacher contradicts (`engine.training.teacher`) is left out or called what it is.
    """
    clips, places = placed_clips(store)
    kept = {clip.start: clip for clip in corrected(store, clips)}
    rows = [row for row, clip in enumerate(clips) if clip.start in kept]
    return [kept[clips[row].start] for row in rows], None if places is None else places[rows]


def write_places(store: Path, processes: int = _PROCESSES) -> int:
    """Have the listener place every clip for training; returns how many there are."""
    clips = _for_training(store)
    # spawned: torch's threads do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        places = np.stack(list(pool.map(_placed, [store] * len(clips), clips, chunksize=64)))
    np.save(store / PLACES, places)
    return len(clips)


def _for_training(store: Path) -> list[Clip]:
    return [clip for clip in read_clips(store) if clip.split == TRAIN]


def _placed(store: Path, clip: Clip) -> NDArray[np.float32]:
    listener, samples = _listener(), _samples(store)
    audio = samples[clip.start : clip.start + min(clip.length, _LONGEST)] / np.float32(32768)
    heard = soxr.resample(audio, SAMPLE_RATE, listener.hearing_grid.sample_rate)
    with listener.computing(1):
        place: NDArray[np.float32] = listener.example(np.asarray(heard, np.float32)[None])
    return place


@cache
def _listener() -> Ears:
    return ears.load()


@cache
def _samples(store: Path) -> NDArray[np.int16]:
    return np.memmap(store / "audio.i16", "<i2", "r")


def main() -> None:
    """Place a corpus's clips from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="folder written by engine.training.corpus")
    print(write_places(parser.parse_args().store), "clips")


if __name__ == "__main__":
    main()
