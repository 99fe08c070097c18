"""What a job must fulfil before it may enter the queue."""

from __future__ import annotations

import shutil

from engine import models
from engine.errors import BadJob, Failure, UnknownModel
from engine.folders import Folders
from engine.job import Job
from engine.options import Keep
from engine.sound import audio

__all__ = ["admit"]

_RESERVE = 32 << 20  # bytes that stay free on the disk


def admit(job: Job, folders: Folders) -> audio.AudioInfo:
    """Check that a job can be done, as far as can be told without separating it.

    Raises
    ------
    UnknownModel
        No such model is installed.
    BadJob
        The mixture's path goes up.
    BadAudio
        The mixture is no regular file that this user can read, or no audio.
    Failure
        The disk has no room for the clips, or the job's folder is not Tweeze's own.

    """
    names = models.names(folders)
    if job.options.model not in names:
        raise UnknownModel(
            f"There is no model named {job.options.model[:40]!r}; there are: {', '.join(names)}."
        )
    if ".." in job.mixture.parts:
        raise BadJob(f"{job.mixture} contains '..': give the path without it.")
    info = audio.probe(job.mixture, follow=False)
    clips = {Keep.TARGET: len(job.queries), Keep.RESIDUAL: 1, Keep.BOTH: len(job.queries) + 1}
    needed = info.frames * audio.frame_bytes(info.channels) * clips[job.options.keep]
    free = shutil.disk_usage(folders.clips).free
    if free < needed + _RESERVE:
        raise Failure(
            f"The clips of '{job.mixture.name}' need {_size(needed)}, and the disk that holds "
            f"{folders.clips} has {_size(free)} left: free some space."
        )
    if (folders.clips / job.id).is_symlink():
        raise Failure(f"{folders.clips / job.id} is a symbolic link: remove it.")
    return info


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
