"""How much room kept masks take, and who goes when that is too much. See `engine.sound.kept`."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NOTE", "prune", "size"]

NOTE = "kept.json"
"""The file of a job's folder that is written last, and makes it whole."""


def size(folder: Path) -> int:
    """Return the bytes that all kept masks below a folder take; a file of several jobs once."""
    return sum(_sizes(folder, set()))


def prune(folder: Path, room: float) -> None:
    """Remove the masks that were kept first, until those of all jobs take at most `room` bytes.

    Hidden folders belong to somebody who works with masks just now, and stay.
    """
    seen: set[tuple[int, int]] = set()
    try:
        jobs = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
        kept = sorted(jobs, key=_noted, reverse=True)
    except OSError:
        return
    taken = 0
    for one in kept:
        taken += sum(_sizes(one, seen))
        if taken > room:
            shutil.rmtree(one, ignore_errors=True)


def _noted(folder: Path) -> float:
    try:
        return (folder / NOTE).stat().st_mtime
    except OSError:
        return 0.0


def _sizes(folder: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    """Yield the sizes of the files below a folder that were not seen yet."""
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            about = file.lstat()
            if stat.S_ISREG(about.st_mode) and (about.st_dev, about.st_ino) not in seen:
                seen.add((about.st_dev, about.st_ino))
                yield about.st_size
