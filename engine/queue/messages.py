"""What the service and its worker say to each other over their pipe: numbers, names and paths.

Audio never travels here; it lies in files that both can see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.job import Job
from engine.status import Clip, Heard

__all__ = [
    "Cancel",
    "Failed",
    "Finished",
    "FromWorker",
    "Gone",
    "Loaded",
    "Loading",
    "Progress",
    "Pulse",
    "Stopped",
    "ToWorker",
    "Work",
]


@dataclass(frozen=True)
class Work:
    """Separate this job into `folder`. Sent only to a worker that has nothing to do.

    `reduction` counts the workers that ended in the middle of it: as often are its segments to be
    shortened, for it may have been lack of memory.
    """

    job: Job
    folder: Path
    reduction: int = 0


@dataclass(frozen=True)
class Cancel:
    """Leave this job, at the next segment."""

    id: str


@dataclass(frozen=True)
class Pulse:
    """The worker lives; sent about once a second from a thread of its own."""


@dataclass(frozen=True)
class Loading:
    """A model that was not resident is being loaded."""

    model: str


@dataclass(frozen=True)
class Loaded:
    """A model is resident now; `seconds` is 0.0 where it already was."""

    model: str
    seconds: float


@dataclass(frozen=True)
class Progress:
    """How much of a job is done, from 0 to 1."""

    id: str
    share: float


@dataclass(frozen=True)
class Finished:
    """A job's clips lie in its folder under their final names; the rest is for its status."""

    id: str
    clips: tuple[Clip, ...]
    seconds: float
    presence: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """A job was left because somebody cancelled it."""

    id: str


@dataclass(frozen=True)
class Failed:
    """A job cannot be done: a sentence for the user, `details` (a traceback) for the log."""

    id: str
    message: str
    bad_input: bool = False
    details: str = ""


@dataclass(frozen=True)
class Gone:
    """The worker's end of the pipe is closed: it has ended. Made by the service's side."""


ToWorker = Work | Cancel
FromWorker = Pulse | Loading | Loaded | Progress | Finished | Stopped | Failed | Gone
