"""Removes clips that nobody fetched for a long time, and unfinished files of dead processes.

Clips that an editor has, or may have, in a project stay, and so does everything of an unfinished
job. Clips that the journal does not know (an older one was damaged and set aside) may be in a
project.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import disk_clock
from engine.folders import Folders
from engine.queue.journal import Entry, Insertion, Journal
from engine.settings import Settings

__all__ = ["Keeping", "clean"]

_YOUNG = 3600.0  # seconds that a folder of no known job is left alone, and any clip for its size
_ORPHANED = 24 * 3600.0  # seconds that a captured mixture waits for its job
_LOG = logging.getLogger("tweeze.cleaning")


@dataclass(frozen=True)
class Keeping:
    """How long Tweeze keeps clips that nobody fetches, and how much room they may take.

    Attributes
    ----------
    seconds
        Age at which a job's clips are removed.
    size
        Bytes that all clips together may take; beyond it the oldest go first.

    """

    seconds: float = 30 * 24 * 3600.0
    size: float = 20e9

    @classmethod
    def of_environment(cls) -> Keeping:
        """Return the defaults, or what `TWEEZE_KEEP_DAYS` and `TWEEZE_KEEP_GB` say."""
        settings = Settings.of_environment()
        return cls(settings.keep_days * 24 * 3600, settings.keep_gb * 1e9)


def clean(folders: Folders, journal: Journal, keeping: Keeping) -> tuple[str, ...]:
    """Remove the clips that have been kept long enough, and return the ids of their jobs.

    Safe in another thread than the service's: it touches finished jobs only.

    Raises
    ------
    Failure
        The journal cannot be read; nothing was removed.

    """
    now, stamped = time.time(), _stamp(folders.clips)
    removed: list[str] = []
    kept: list[tuple[float, int, Path]] = []
    try:
        found = [path for path in folders.clips.iterdir() if path.is_dir()]
    except OSError:
        return ()
    for folder in found:
        entry = journal.get(folder.name) if not folder.is_symlink() else None
        # What failed or was cancelled leaves nothing, but for a process that died over it.
        if entry is not None:
            nobodys, needed = not entry.status.clips, _is_needed(entry, journal)
        else:
            nobodys = folder.is_symlink() or not any(folder.glob("*.wav"))
            needed = not nobodys
        if needed:
            continue
        age = stamped - _changed(folder, stamped) if entry is None else now - entry.changed
        if age > (_YOUNG if nobodys else keeping.seconds):
            _remove(folder, removed)
        elif entry is not None and not nobodys:
            kept.append((entry.changed, _size(folder), folder))
    room = keeping.size - sum(size for _, size, _ in kept)
    for changed, size, folder in sorted(kept):
        if room >= 0 or now - changed < _YOUNG:
            break
        _remove(folder, removed)
        room += size
    _remove_masks(folders, removed, stamped, keeping.seconds)
    _remove_mixtures(folders, journal)
    if removed:
        _LOG.info("Clips of %d jobs were removed: nobody fetched them.", len(removed))
    return tuple(removed)


def _remove_masks(folders: Folders, removed: Sequence[str], stamped: float, seconds: float) -> None:
    """Remove the kept masks of jobs whose clips went, and those that are as old as clips may get.

    Clips that were fetched are no longer here, but masks of such a job serve as long.
    """
    for job in removed:
        shutil.rmtree(folders.masks / job, ignore_errors=True)
    with contextlib.suppress(OSError):
        for folder in folders.masks.iterdir():
            if stamped - _changed(folder, stamped) > seconds:
                shutil.rmtree(folder, ignore_errors=True)


def _remove_mixtures(folders: Folders, journal: Journal) -> None:
    """Remove captured mixtures of which no job came, or whose job has ended."""
    needed = {entry.job.mixture for entry in journal.unfinished()}
    for age, path in disk_clock.ages(folders.mixtures):
        if path not in needed and age > _ORPHANED:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_needed(entry: Entry, journal: Journal) -> bool:
    """Whether a job goes on, or a clip of it is, or may be, in an editor's project."""
    return not entry.status.state.final or any(
        journal.insertion(entry.job.id, number) is not Insertion.FREE
        for number in range(len(entry.status.clips))
    )


def _stamp(folder: Path) -> float:
    """Return what time it is for files in a folder; where that cannot be known, nothing is old."""
    try:
        return disk_clock.now(folder)
    except OSError:
        return float("-inf")


def _changed(path: Path, stamped: float) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return stamped


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _remove(folder: Path, removed: list[str]) -> None:
    try:
        folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
    except OSError as error:
        _LOG.warning("%s cannot be removed: %s", folder, error)
    else:
        removed.append(folder.name)
