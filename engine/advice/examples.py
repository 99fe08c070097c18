"""Queries that are sounds: "like this one", with a stretch of a recording.

A listener places the stretch among the vectors of words; a separator that is steered by those can
be steered by it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr

from engine.errors import BadInput
from engine.job import clean_query
from engine.models.base import FloatArray, Listener, Separator, SoundSteered
from engine.sound.audio import opened

__all__ = ["LONGEST", "Example", "Sample", "Shown", "embedding", "placed"]

LONGEST = 30.0
"""Seconds of an example at most."""
_SHORTEST = 0.05  # seconds
_STRETCH = re.compile(
    r"(.+)@([0-9]{1,6}(?:\.[0-9]{1,6})?)-([0-9]{1,6}(?:\.[0-9]{1,6})?)", re.DOTALL
)


class Shown(Protocol):
    """A sound that serves as a query."""

    @property
    def query(self) -> str:
        """The query that stands for it alone."""

    def read(self, rate: int, tick: Callable[[], None] = lambda: None) -> FloatArray:
        """Return its samples at a rate in Hz, `(channels, samples)`; BadInput if it is unfit."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A sound in memory: `samples` of the shape `(channels, frames)`, at `rate` Hz."""

    samples: FloatArray
    rate: int

    @property
    def query(self) -> str:
        """The query that stands for it alone."""
        return "like the example"

    def read(self, rate: int, tick: Callable[[], None] = lambda: None) -> FloatArray:
        """Return the samples at a rate in Hz, `(channels, samples)`.

        Raises
        ------
        BadInput
            They are silent, too few, or longer than `LONGEST`.

        """
        tick()
        seconds = self.samples.shape[1] / self.rate
        if not _SHORTEST <= seconds <= LONGEST:
            raise BadInput(
                f"The example lasts {seconds:.2f} s: give {_SHORTEST:g} to {LONGEST:g} s of the "
                "sound."
            )
        if _is_silent(self.samples):
            raise BadInput("The example is silent: give another stretch.")
        return _at(rate, self.samples, self.rate)


@dataclass(frozen=True)
class Example:
    """A stretch of a recording; `start` and `stop` are seconds, `stop` None for its end."""

    path: Path
    start: float = 0.0
    stop: float | None = None

    @classmethod
    def from_text(cls, text: str) -> Example:
        """Read `FILE` or `FILE@START-END`, in seconds; a file of that very name goes first.

        >>> Example.from_text("dog.wav@1.5-3")
        Example(path=PosixPath('dog.wav'), start=1.5, stop=3.0)

        Raises
        ------
        BadInput
            The end does not come after the start, or there is more between them than `LONGEST`.

        """
        found = _STRETCH.fullmatch(text)
        if found is None or _is_file(text):
            return cls(Path(text))
        path, start, stop = found[1], float(found[2]), float(found[3])
        if stop < start:
            raise BadInput(f"The example '{text}' ends before it has begun: write FILE@START-END.")
        if stop - start < _SHORTEST:
            raise BadInput(
                f"The example '{text}' is too short: name {_SHORTEST:g} s of it at least."
            )
        if stop - start > LONGEST:
            raise BadInput(
                f"The example '{text}' lasts {stop - start:g} s: name at most {LONGEST:g} s of it."
            )
        return cls(Path(path), start, stop)

    @property
    def text(self) -> str:
        """What `from_text` reads."""
        if self.stop is None:
            return str(self.path)
        return f"{self.path}@{_seconds(self.start)}-{_seconds(self.stop)}"

    @property
    def query(self) -> str:
        """The query that stands for the example alone: what its track is called, too.

        >>> Example(Path("/tmp/the dog.wav"), 1, 2.5).query
        'like the dog'
        """
        stem = "".join(c if c.isprintable() else " " for c in self.path.stem)
        return clean_query(clean_query(f"like {stem}")[:80])

    def read(self, rate: int, tick: Callable[[], None] = lambda: None) -> FloatArray:
        """Return the samples at a rate in Hz, `(channels, samples)`.

        `tick` is called a few times a second, and may raise.

        Raises
        ------
        BadInput
            The path is not absolute, the stretch lies behind the file's end or is silent, or the
            file is longer than `LONGEST` and no stretch of it is named.
        BadAudio, Failure
            As `engine.sound.audio.opened`.

        """
        if not self.path.is_absolute():
            raise BadInput(
                f"The example's path {self.path} is not absolute: name it from the root."
            )
        with opened(self.path, follow=False, tick=tick) as sound:
            first = round(self.start * sound.rate)
            last = math.inf if self.stop is None else round(self.stop * sound.rate)
            most = round((self.start + LONGEST) * sound.rate)
            kept, place = [], 0
            for block in sound.blocks():
                tick()
                kept.append(block[:, max(0, first - place) : max(0, int(min(last, most) - place))])
                place += block.shape[1]
                if place >= last:
                    break
                if place > most:
                    raise BadInput(
                        f"The example '{self.path.name}' is longer than {LONGEST:g} s: name a "
                        f"stretch of it, like '{self.path.name}@2-4'."
                    )
            rate_in = sound.rate
        samples = np.concatenate(kept, axis=1) if kept else np.zeros((1, 0), np.float32)
        if samples.shape[1] < _SHORTEST * rate_in:
            raise BadInput(
                f"There is no sound at {self.start:g} s of '{self.path.name}', which lasts "
                f"{place / rate_in:.2f} s: name another stretch."
            )
        if _is_silent(samples):
            raise BadInput(f"The example '{self.path.name}' is silent: name another stretch.")
        return _at(rate, samples, rate_in)


def placed(
    example: Shown, listener: Listener, tick: Callable[[], None] = lambda: None
) -> FloatArray:
    """Return an example's place among the vectors of words, `(dimensions,)`, of unit length.

    Raises as its `read`.
    """
    return listener.example(example.read(listener.hearing_grid.sample_rate, tick))


def embedding(
    separator: Separator, example: Shown, place: FloatArray, nots: Collection[str] = ()
) -> Callable[[str], FloatArray]:
    """Return what turns the sounds of a job with an example into vectors.

    The example's own `query` is steered by the sound alone, any other one by the words and the
    sound together: by the middle between both. What is not wanted (`nots`) is not what is shown:
    its words alone steer.

    Raises
    ------
    BadInput
        The separator understands words only.

    """
    if not isinstance(separator, SoundSteered):
        raise BadInput(
            f"The model {separator.name} understands words only: leave out the example, or take a "
            "model that can be shown one, like compact."
        )
    steered = separator

    def embed(query: str) -> FloatArray:
        if query in nots:
            return separator.embed(query)
        words = None if query == example.query else query
        return steered.embed_sound(place, words)

    return embed


def _is_silent(samples: FloatArray) -> bool:
    return not np.abs(samples).max() > 1e-5


def _at(rate: int, samples: FloatArray, rate_in: int) -> FloatArray:
    return np.asarray(soxr.resample(samples.T, rate_in, rate).T, np.float32)


def _seconds(value: float) -> str:
    """Return what `from_text` reads as the same time, to the microsecond."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
