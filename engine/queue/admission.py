"""Admits jobs to the queue: checks that each can run before its turn comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.errors import BadAudio, BadInput, BadJob, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job
from engine.models import catalogue
from engine.models.router import models_of, resolve
from engine.options import Keep
from engine.queue.tickets import Ticket, Tickets
from engine.sound import audio
from engine.waiting import aside

__all__ = ["Admissions", "Refuse", "admit"]

_RESERVE = 32 << 20  # bytes that stay free on the disk
_LOG = logging.getLogger("tweeze.service")


class Refuse(Protocol):
    """Fails a job that cannot run, with a sentence for the user."""

    def __call__(self, ticket: Ticket, message: str, *, bad_input: bool = False) -> None:
        """Fail the job of `ticket`; `bad_input` means that the user can correct it."""


class Admissions:
    """Checks the jobs of each client in order, so that no client keeps the others waiting.

    Parameters
    ----------
    seconds
        Limit for one check: the file may lie on a network share that does not answer.
    admitted
        Called when a job may run.
    refuse
        Called with a job that cannot run.

    """

    def __init__(
        self,
        tickets: Tickets,
        folders: Folders,
        *,
        seconds: float,
        admitted: Callable[[], None],
        refuse: Refuse,
    ) -> None:
        self._tickets = tickets
        self._folders = folders
        self._seconds = seconds
        self._admitted = admitted
        self._refuse = refuse
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by client

    def begin(self, client: str) -> None:
        """Check the client's jobs that wait for admission."""
        if client not in self._tasks:
            task = asyncio.create_task(self._admit_all(client), name=f"tweeze-admission-{client}")
            self._tasks[client] = task

    async def stop(self) -> None:
        """Stop checking; jobs that were not admitted keep their state."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _admit_all(self, client: str) -> None:
        try:
            while (ticket := self._tickets.next_to_admit(client)) is not None:
                await self._admit(ticket)
        finally:
            del self._tasks[client]

    async def _admit(self, ticket: Ticket) -> None:
        """Check a job in a thread; one that hangs is abandoned after the limit."""
        job = ticket.job
        try:
            looking = ticket.looking = aside(
                lambda: _look_at(job, self._folders), name=f"admission-{job.id}"
            )
            await asyncio.wait({looking}, timeout=self._seconds)
            if ticket.status.state.final:  # it was cancelled meanwhile
                return
            if not looking.done():
                raise BadAudio(
                    f"'{job.mixture.name}' could not be looked at within "
                    f"{self._seconds:.0f} s: the disk or network share that holds it does "
                    "not answer. Copy the file to a disk of this machine."
                )
            looking.result()
        except TweezeError as error:
            self._refuse(ticket, str(error), bad_input=isinstance(error, BadInput))
        except Exception as error:
            _LOG.exception("Job %s could not be looked at.", job.id)
            self._refuse(ticket, f"'{job.mixture.name}' could not be looked at ({error}).")
        else:
            _LOG.info("Job %s: %s, %s.", job.id, job.options.model, ascii(job.queries))
            ticket.admitted.set()
            self._admitted()
        finally:
            if ticket.looking is not None:
                ticket.looking.cancel()
                ticket.looking = None


def _look_at(job: Job, folders: Folders) -> None:
    """Check a job (`admit`); may block for as long as a file system does."""
    with contextlib.suppress(OSError):
        folders.make()  # somebody may have removed one
    admit(job, folders)


def admit(job: Job, folders: Folders) -> audio.AudioInfo:
    """Check that a job can run, as far as possible without separating anything.

    Raises
    ------
    UnknownModel
        No such model is installed.
    BadInput
        The model cannot do what the job is for.
    BadJob
        The mixture's path contains `..`.
    BadAudio
        The mixture is not a regular file that this user can read, or not audio.
    Failure
        The disk has no room for the clips, or the job's folder is a symbolic link.

    """
    for name in models_of(resolve(job, folders)):
        catalogue.check_task(catalogue.entry(name, folders), job.task)
    if ".." in job.mixture.parts:
        raise BadJob(f"{job.mixture} contains '..': give the path without it.")
    kept = _kept(folders.masks / job.base) if job.base else None
    if kept is not None:
        info = kept
    elif job.base and not job.mixture.exists():
        raise BadAudio(
            f"The masks of job {job.base} are no longer kept, and its recording is gone: "
            "separate it once more from where it is now."
        )
    else:
        info = audio.probe(job.mixture, follow=False)
    targets = 1 if job.options.merge else len(job.queries)
    clips = {Keep.TARGET: targets, Keep.RESIDUAL: 1, Keep.BOTH: targets + 1}
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


def _kept(folder: Path) -> audio.AudioInfo | None:
    """Return what a folder of kept masks says of the mixture; None if it is not whole."""
    # Not at the module's head: the engine need not load what masks take before somebody adjusts.
    from engine.sound.kept import Kept

    found = Kept.open(folder)
    return found.info if found else None


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
