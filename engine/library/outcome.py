"""What became of one item of a batch: its clips, measured, and what is said of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.advice.noticed import noticed
from engine.errors import BadInput
from engine.job import Job
from engine.sound.audio import opened
from engine.status import Certainty, Clip, ClipKind

__all__ = ["Made", "Outcome", "digest", "failed", "outcome"]

_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Made:
    """A clip that was made, where it lies until it is published.

    Attributes
    ----------
    path
        Its file.
    name
        What the file is to be called.
    query
        The sound; empty for the residual.
    model
        Who answered; several names for the residual.
    certainty
        How likely the sound is there, 0 to 1; of the residual, how likely any of those is that were
        taken out. None where nobody estimates it.
    heard
        Seconds in which it is likely, that one; None where nobody estimates it.
    share
        Energy of the clip as a share of the recording's; None of a silent recording.
    digest
        SHA-256 of the file, in hexadecimal digits.

    """

    path: Path
    name: str
    query: str
    model: str
    certainty: float | None
    heard: float | None
    share: float | None
    digest: str


@dataclass(frozen=True)
class Outcome:
    """What became of the item with a key.

    Attributes
    ----------
    made
        Its clips; none where it failed.
    seconds
        Length of what was separated; 0 where it failed.
    took
        Seconds that the model worked.
    notes
        Sentences for the user.
    error
        A sentence that says why there are no clips; empty if there are.
    wrong
        Whether it failed because the recording or the request is wrong.

    """

    key: str
    made: tuple[Made, ...] = ()
    seconds: float = 0.0
    took: float = 0.0
    notes: tuple[str, ...] = ()
    error: str = ""
    wrong: bool = False


def failed(key: str, error: Exception) -> Outcome:
    """Return the outcome of an item that ended with an error."""
    sentence = str(error) or type(error).__name__
    return Outcome(key, error=" ".join(sentence.split()), wrong=isinstance(error, BadInput))


def outcome(
    key: str,
    job: Job,
    clips: Sequence[Clip],
    *,
    answers: Sequence[str],
    presence: Sequence[float | None],
    certainty: Sequence[Certainty],
    took: float,
    notes: Sequence[str],
) -> Outcome:
    """Return the outcome of a job that is done; reads its mixture and its clips once.

    `answers`, `presence` and `certainty` are as a job's status has them: a value for each query
    (`answers` for each sound), or none at all.

    Raises
    ------
    BadAudio, Failure, OSError
        The mixture or a clip cannot be read any more.

    """
    energy, seconds = _energy(job.mixture)
    made = []
    for clip in clips:
        own, _ = _energy(clip.path)
        wanted = clip.kind is ClipKind.TARGET
        of = [i for i, query in enumerate(job.queries) if query == clip.query] if wanted else []
        of = of or list(range(len(job.queries)))  # the residual, or all queries in one clip
        sure = [presence[i] for i in of if i < len(presence)]
        known = [one for one in sure if one is not None]
        over = [certainty[i] for i in of if i < len(certainty)]
        spans = [noticed(one, job.options) for one in over]
        heard = max((sum(s.stop - s.start for s in one) for one in spans), default=None)
        names = [answers[i] for i in of if i < len(answers)]
        made.append(
            Made(
                clip.path,
                clip.path.name,
                clip.query,
                ", ".join(dict.fromkeys(names)),
                max(known) if known else None,
                None if heard is None else min(heard, seconds),
                own / energy if energy else None,
                digest(clip.path),
            )
        )
    return Outcome(key, tuple(made), seconds, took, tuple(notes))


def _energy(path: Path) -> tuple[float, float]:
    """Return the energy of a file's samples, and its length in seconds."""
    total, frames = 0.0, 0
    with opened(path) as sound:
        for block in sound.blocks():
            total += float(np.sum(np.square(block, dtype=np.float64)))
            frames += block.shape[1]
        return total, frames / sound.rate


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
