"""When the queue loses patience: with a worker, with a file, with having nothing to do."""

from __future__ import annotations

from dataclasses import dataclass

from engine.settings import Settings

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """When the service loses patience.

    Attributes
    ----------
    idle
        Seconds without a job after which the worker goes, and its memory with it.
    silence
        Seconds without a sign of life after which a worker counts as hung. Not a limit on the
        work: signs of life come from a thread of their own, however long a segment takes.
    deaths
        Workers that may end while they do one job, before the job is given up. An end of the
        engine itself is none of the job's doing, and does not count.
    admission
        Seconds that looking at a job's mixture may take, before the job is given up: the file may
        lie on a network share that does not answer.
    obedience
        Seconds that a worker gets to leave a cancelled job, before it is ended.

    """

    idle: float = 900.0
    silence: float = 15.0
    deaths: int = 3
    admission: float = 30.0
    obedience: float = 20.0

    @classmethod
    def of_environment(cls) -> Limits:
        """Return the limits, with `TWEEZE_IDLE_MINUTES` in place of the usual 15."""
        return cls(idle=60 * Settings.of_environment().idle_minutes)
