"""Status files: what the spool folder says of jobs and requests, and for how long."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bridge.requests import Requests
from engine import disk_clock
from engine.errors import BadInput
from engine.files import read_small, replace_text
from engine.queue.journal import Entry
from engine.queue.service import Service
from engine.status import JobState, Status

__all__ = ["KEEP", "REMEMBERED", "STATUSES", "Statuses", "entries"]

KEEP = 7 * 24 * 3600.0  # seconds that statuses without clips and refused files are kept
STATUSES = 1000  # statuses that are kept at most of what has ended and has no clips
REMEMBERED = 90 * 24 * 3600.0  # seconds that the journal knows a job after its end
_READ = 600.0  # seconds within which whoever waits for a status has read it
_LOG = logging.getLogger("tweeze.spool")


class Statuses:
    """Writes the status files, writes again what the disk did not take, and removes old ones.

    `owned` says whether the folder is still this process's to serve; where not, nothing is written.
    """

    def __init__(self, service: Service, requests: Requests, owned: Callable[[], bool]) -> None:
        self._service = service
        self._folders = service.folders
        self._requests = requests
        self._owned = owned
        self._unwritten: dict[Path, Status] = {}

    def write(self, status: Status) -> None:
        """Write a job's status."""
        self._write(self._folders.status / status.id, status)

    def write_request(self, status: Status) -> None:
        """Write a request's status."""
        self._write(self._folders.request_status / status.id, status)

    def write_missed(self) -> None:
        """Write what the disk did not take before."""
        for path, status in list(self._unwritten.items()):
            self._write(path, status)

    def _write(self, path: Path, status: Status) -> None:
        known = self._unwritten.pop(path, None)
        if not self._owned():
            self._unwritten[path] = status
            return
        try:
            replace_text(path, status.to_text())
        except OSError as error:
            self._unwritten[path] = status  # written when the disk takes it again
            if known is None:
                _LOG.error("The status of %s cannot be written: %s", status.id, error)

    def write_again(self, entry: Entry) -> None:
        """Write what the journal knows of a job, with the time at which that was."""
        self.write(entry.status)
        with contextlib.suppress(OSError):
            os.utime(self._folders.status / entry.job.id, (entry.changed, entry.changed))

    def catch_up(self) -> None:
        """Write the statuses that an earlier process did not get to write."""
        journal = self._service.journal
        for entry in journal.unfinished():
            self.write(entry.status)
        self._tell_of_clips()
        for path in [*entries(self._folders.status), *entries(self._folders.request_status)]:
            try:
                status = Status.from_text(read_small(path))
            except (BadInput, OSError):
                continue
            if status.state.final or status.id in self._requests:
                continue
            known = journal.get(status.id) if path.parent == self._folders.status else None
            if known is not None:
                self.write(known.status)
            else:
                message = "The engine ended in the middle of this request: ask for it again."
                ended = replace(status, state=JobState.FAILED, message=message)
                self._write(path.parent / status.id, ended)

    def _tell_of_clips(self) -> None:
        """Write the statuses that are missing of jobs whose clips are kept.

        By its status alone a script that can only read files finds the clips of a job.
        """
        for folder in entries(self._folders.clips):
            if not (self._folders.status / folder.name).exists():
                entry = self._service.journal.get(folder.name)
                if entry is not None and entry.status.state.final:
                    self.write_again(entry)

    def clean(self) -> None:
        """Remove old statuses and refused files, and what writers left that died.

        The journal forgets jobs that ended long ago and have no clips any more.
        """
        unfinished = {entry.job.id for entry in self._service.journal.unfinished()}
        for folder in (
            self._folders.status,
            self._folders.request_status,
            self._folders.jobs,
            self._folders.cancel,
            self._folders.requests,
            self._folders.spool / "refused",
        ):
            for age, path in disk_clock.ages(folder):
                if age > KEEP and not self._is_needed(path, unfinished):
                    self._remove_old(path)

        self._thin_out(self._folders.status, unfinished)
        self._thin_out(self._folders.request_status, unfinished)
        self._tell_of_clips()
        journal = self._service.journal
        for id_ in journal.ended_before(time.time() - REMEMBERED):
            if not (self._folders.clips / id_).exists():  # else they can still be asked for
                journal.forget(id_)

    def _thin_out(self, folder: Path, unfinished: set[str]) -> None:
        """Keep the youngest statuses only, so that the folder stays small whatever comes."""
        ages = [
            (age, path)
            for age, path in disk_clock.ages(folder)
            if not self._is_needed(path, unfinished)
        ]
        for age, path in ages[STATUSES:]:
            if age > _READ:
                self._remove_old(path)

    def _is_needed(self, path: Path, unfinished: set[str]) -> bool:
        """Whether a file is of something that goes on, or says where clips lie that are kept."""
        if path.parent == self._folders.request_status:
            return path.name in self._requests
        kept = path.parent == self._folders.status and (self._folders.clips / path.name).is_dir()
        return kept or path.name in unfinished

    def _remove_old(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, oldest name first, names that begin with a dot left out."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
