"""Forgets a job that has ended: its clips, its kept masks, its status and its entry in the journal.

Whether a job may go is for others to say beforehand (`hindrance`); what is forgotten is gone.
"""

from __future__ import annotations

import contextlib
import shutil
import time

from engine.errors import Failure
from engine.folders import Folders
from engine.queue.journal import Insertion
from engine.queue.service import Service
from engine.waiting import aside

__all__ = ["forget", "hindrance", "is_in_a_project"]

_INSERTING = 600.0  # seconds after its claim that a clip may still be on its way into a project


def hindrance(service: Service, id_: str) -> str:
    """Return why a job cannot be forgotten now, as a sentence; '' where it can.

    Raises
    ------
    BadJob
        There is no such job.
    Failure
        The journal refuses.

    """
    status = service.status(id_)
    journal = service.journal
    if not status.state.final:
        return f"Job {id_} is not done yet ({status.state.value}): cancel it first."
    if attendant := journal.attendant(id_):
        return (
            f"The clips of job {id_} wait to be put into {attendant.capitalize()}: forget it when "
            "they are in."
        )
    if journal.claimed_since(id_, time.time() - _INSERTING):
        return f"The clips of job {id_} go into a project at this moment: try again when they are."
    for entry in journal.unfinished():
        if entry.job.base == id_:
            return f"Job {entry.job.id} adjusts job {id_}: forget it when that one is done."
    return ""


def is_in_a_project(service: Service, id_: str) -> bool:
    """Return whether a clip of a job is, or may be, in an editor's project."""
    journal = service.journal
    clips = range(len(service.status(id_).clips))
    return any(journal.insertion(id_, number) is not Insertion.FREE for number in clips)


async def forget(service: Service, id_: str) -> None:
    """Remove what there is of a job that has ended.

    The journal's entry goes last, so that after a crash everything can still be found by it.

    Raises
    ------
    Failure
        The disk or the journal refuses; some of it may be gone.

    """
    folders = service.folders
    await aside(lambda: _remove(folders, id_), name=f"forget-{id_}")
    service.outbox.flush()
    service.journal.forget(id_)
    if service.journal.get(id_) is not None:
        raise Failure(
            f"Job {id_} cannot be forgotten now, for its end is not written down yet: check that "
            f"the disk of {folders.journal} has room, and try again."
        )


def _remove(folders: Folders, id_: str) -> None:
    try:
        for folder in (folders.clips / id_, folders.masks / id_):
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)
    except OSError as error:
        raise Failure(
            f"{error.filename or folder} cannot be removed ({error.strerror}): check its disk, "
            "and try again."
        ) from error
    with contextlib.suppress(OSError):
        (folders.status / id_).unlink()
