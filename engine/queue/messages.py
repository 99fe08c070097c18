"""Messages between the service and its worker: numbers, names and paths over a pipe.

Audio stays in files that both can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.job import Job
from engine.status import Certainty, Clip, Heard

__all__ = [
    "Cancel",
    "Drafted",
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

    `reduction` counts the workers that ended while they ran it: its segments are shortened that
    many times, since memory may have run out.
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
    """The worker is loading a model."""

    model: str


@dataclass(frozen=True)
class Loaded:
    """A model is loaded; `seconds` is 0.0 if it already was.

    `models` are all that are loaded, the one used last at the end.
    """

    model: str
    seconds: float
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """The fraction of a job that is done, 0 to 1."""

    id: str
    share: float


@dataclass(frozen=True)
class Drafted:
    """A first, rough answer is there; its clips go when the job has finished."""

    id: str
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Finished:
    """A job's clips have their final names in its folder; the other fields go into its status."""

    id: str
    clips: tuple[Clip, ...]
    seconds: float
    presence: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()
    certainty: tuple[Certainty, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """The worker left a cancelled job."""

    id: str


@dataclass(frozen=True)
class Failed:
    """A job failed: a sentence for the user, and a traceback (`details`) for the log."""

    id: str
    message: str
    bad_input: bool = False
    details: str = ""


@dataclass(frozen=True)
class Gone:
    """The worker has ended; the service's side makes this when the pipe closes."""


ToWorker = Work | Cancel
FromWorker = Pulse | Loading | Loaded | Progress | Drafted | Finished | Stopped | Failed | Gone
