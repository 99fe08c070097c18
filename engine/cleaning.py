"""Cleaning up: clips that nobody fetched for long, and what dead processes left half-written.

A clip that an editor has, or may have, in its project is not touched; neither is anything of a job
that has not come to its end. Clips of which the journal knows nothing (an older one was damaged,
and set aside) may be in a project.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from engine.folders import Folders
from engine.journal import Entry, Insertion, Journal

__all__ = ["Keeping", "clean"]

_YOUNG = 3600.0  # seconds that a folder of no known job is left alone, and any clip for its size
_ORPHANED = 24 * 3600.0  # seconds that a captured mixture waits for its job
_LOG = logging.getLogger("tweeze.cleaning")


@dataclass(frozen=True)
class Keeping:
    """How long clips stay that nobody fetches, and how much room they may take.

    Attributes
    ----------
    seconds
        After which a job's clips go.
    size
        Bytes that all clips together may take; beyond it the oldest go first.

    """

    seconds: float = 30 * 24 * 3600.0
    size: float = 20e9

    @classmethod
    def of_environment(cls) -> Keeping:
        """Return what is usual, or `TWEEZE_KEEP_DAYS` and `TWEEZE_KEEP_GB` in its place."""
        usual = cls()
        days, size = _number("TWEEZE_KEEP_DAYS"), _number("TWEEZE_KEEP_GB")
        return cls(
            usual.seconds if days is None else days * 24 * 3600,
            usual.size if size is None else size * 1e9,
        )


def _number(name: str) -> float | None:
    """Return a setting's value; one that is no positive number counts as not set, and is said."""
    text = os.environ.get(name)
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    _LOG.warning("%s is %s, which is no positive number: it is left aside.", name, ascii(text))
    return None


def clean(folders: Folders, journal: Journal, keeping: Keeping) -> tuple[str, ...]:
    """Remove the clips that have been kept long enough, and return the ids of their jobs.

    Safe in another thread than the service's: what it judges has come to its end, for good.

    Raises
    ------
    Failure
        The journal cannot be read; nothing is removed then.

    """
    now = time.time()
    removed: list[str] = []
    kept: list[tuple[float, int, Path]] = []
    try:
        found = [path for path in folders.clips.iterdir() if path.is_dir()]
    except OSError:
        return ()
    for folder in found:
        entry = journal.get(folder.name) if not folder.is_symlink() else None
        changed = _changed(folder) if entry is None else entry.changed
        age = now - changed
        # What failed or was cancelled leaves nothing, but for a process that died over it.
        if entry is not None:
            nobodys, needed = not entry.status.clips, _is_needed(entry, journal)
        else:
            nobodys = folder.is_symlink() or not any(folder.glob("*.wav"))
            needed = not nobodys
        if needed:
            continue
        if age > (_YOUNG if nobodys else keeping.seconds):
            _remove(folder, removed)
        elif not nobodys:
            kept.append((changed, _size(folder), folder))
    room = keeping.size - sum(size for _, size, _ in kept)
    for changed, size, folder in sorted(kept):
        if room >= 0 or now - changed < _YOUNG:
            break
        _remove(folder, removed)
        room += size
    _remove_mixtures(folders, journal, now)
    if removed:
        _LOG.info("Clips of %d jobs were removed: nobody fetched them.", len(removed))
    return tuple(removed)


def _remove_mixtures(folders: Folders, journal: Journal, now: float) -> None:
    """Remove captured mixtures of which no job came, or whose job has ended."""
    needed = {entry.job.mixture for entry in journal.unfinished()}
    with contextlib.suppress(OSError):
        for path in list(folders.mixtures.iterdir()):
            if path not in needed and now - _changed(path) > _ORPHANED:
                path.unlink()


def _is_needed(entry: Entry, journal: Journal) -> bool:
    """Whether a job goes on, or a clip of it is, or may be, in an editor's project."""
    return not entry.status.state.final or any(
        journal.insertion(entry.job.id, number) is not Insertion.FREE
        for number in range(len(entry.status.clips))
    )


def _changed(folder: Path) -> float:
    try:
        return folder.lstat().st_mtime
    except OSError:
        return time.time()


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
