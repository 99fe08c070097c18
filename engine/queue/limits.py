"""Time limits of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from engine.settings import Settings

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Time limits of the service, and how many workers one job may cost.

    Attributes
    ----------
    idle
        Seconds without a job after which the worker ends and frees its memory.
    silence
        Seconds without a sign of life after which a worker counts as hung. This does not limit the
        work: a thread of its own sends them, however long a segment takes.
    deaths
        Workers that may end while they run one job before the job fails. When the engine itself
        ends, that does not count.
    admission
        Seconds that checking a job's mixture may take before the job fails: the file may lie on a
        network share that does not answer.
    obedience
        Seconds that a worker has to leave a cancelled job before it is killed.

    """

    idle: float = 900.0
    silence: float = 15.0
    deaths: int = 3
    admission: float = 30.0
    obedience: float = 20.0

    @classmethod
    def of_environment(cls) -> Limits:
        """Return the default limits, with `idle` from `TWEEZE_IDLE_MINUTES` if that is set."""
        return cls(idle=60 * Settings.of_environment().idle_minutes)
