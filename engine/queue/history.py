"""Looks through the jobs that are done and whose clips are still kept."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.errors import Failure
from engine.folders import Folders
from engine.job import Task
from engine.queue.journal import Entry, entry_of
from engine.status import JobState

__all__ = ["Past", "Records", "folder_size", "past", "past_of", "records"]

_HEADER = 128  # bytes of a clip within which its samples begin


class Records(Protocol):
    """Where entries come from: the journal, or its file beside an engine that has it."""

    def done(self) -> list[tuple[int, str]]:
        """Return numbers and ids of the jobs that are done, the latest first."""

    def get(self, id: str, /) -> Entry | None:  # noqa: A002
        """Return a job's entry, or None."""


@dataclass(frozen=True)
class Past:
    """A job of the past.

    Attributes
    ----------
    entry
        What the journal says of it.
    clips
        Indices of the clips that are there.
    size
        Bytes of them.

    """

    entry: Entry
    clips: tuple[int, ...]
    size: int

    @property
    def file(self) -> str:
        """Name of the recording, without its folder."""
        return self.entry.job.mixture.name

    @property
    def seconds(self) -> float | None:
        """Length of the recording, as its first clip has it; None if that cannot be read."""
        return _seconds(self.entry.status.clips[self.clips[0]].path)


def past(
    records: Records, folders: Folders, words: str = "", before: str = "", limit: int = 50
) -> tuple[list[Past], bool]:
    """Return the jobs whose clips are there, the latest first, and whether there are more.

    All `words` must be found in queries, what is not wanted, title, the file's name or the local
    day (`2026-11-29`), in any case of letters. Only jobs accepted before the job `before` count.
    Blocking.

    Raises
    ------
    Failure
        The journal cannot be read.

    """
    wanted = words.casefold().split()
    try:
        kept = set(os.listdir(folders.clips))  # noqa: PTH208
    except OSError:
        kept = set()
    found: list[Past] = []
    done = records.done()
    last = next((number for number, id_ in done if id_ == before), None)
    for number, id_ in done:
        if id_ not in kept or (before and (last is None or number >= last)):
            continue
        entry = records.get(id_)
        if entry is None or not all(word in _text(entry) for word in wanted):
            continue
        one = past_of(entry)
        if one is None:
            continue
        if len(found) == limit:
            return found, True
        found.append(one)
    return found, False


def folder_size(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    return sum(about.st_size for about in _files(folder))


@contextlib.contextmanager
def records(folders: Folders) -> Iterator[Records]:
    """Read the journal's file, whoever writes it at the moment; an empty one if there is none.

    Raises
    ------
    Failure
        It cannot be read.

    """
    if not folders.journal.exists():
        yield _Nothing()
        return
    try:
        address = f"{folders.journal.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5.0)) as database:
            yield _File(database)
    except sqlite3.Error as error:
        raise Failure(
            f"The journal {folders.journal} cannot be read ({error}): run 'tweeze doctor'."
        ) from error


class _Nothing:
    def done(self) -> list[tuple[int, str]]:
        return []

    def get(self, id: str, /) -> Entry | None:  # noqa: A002
        return None


class _File:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def done(self) -> list[tuple[int, str]]:
        sql = "SELECT number, id FROM jobs WHERE state = 'done' ORDER BY number DESC"
        return self._database.execute(sql).fetchall()

    def get(self, id: str, /) -> Entry | None:  # noqa: A002
        sql = "SELECT number, job, status, deaths, accepted, changed FROM jobs WHERE id = ?"
        row = self._database.execute(sql, (id,)).fetchone()
        return entry_of(row) if row else None


def past_of(entry: Entry) -> Past | None:
    """Return a job of the past; None where it has no clips, or none any more."""
    if entry.job.task is not Task.SEPARATE or entry.status.state is not JobState.DONE:
        return None
    there, size = [], 0
    for number, clip in enumerate(entry.status.clips):
        with contextlib.suppress(OSError):
            size += clip.path.lstat().st_size
            there.append(number)
    return Past(entry, tuple(there), size) if there else None


def _text(entry: Entry) -> str:
    job = entry.job
    day = time.strftime("%Y-%m-%d", time.localtime(entry.accepted))
    return "\n".join((*job.sounds, job.title, job.mixture.name, day)).casefold()


def _files(folder: Path) -> Iterator[os.stat_result]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            about = path.lstat()
            if stat.S_ISREG(about.st_mode):
                yield about


def _seconds(path: Path) -> float | None:
    """Return the length of a clip, from the header that `engine.sound.audio` wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
        form, data = head.index(b"fmt ") + 8, head.index(b"data") + 8
        speed = int.from_bytes(head[form + 8 : form + 12], "little")  # bytes a second
        return round((path.stat().st_size - data) / speed, 3)
    except (OSError, ValueError, ZeroDivisionError):
        return None
