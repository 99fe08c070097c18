"""The clock that stamps the files of a folder: on a file server it need not be this machine's."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

__all__ = ["ages", "now"]


def now(folder: Path) -> float:
    """Return the time (seconds since 1970) that a file gets which is written into `folder` now.

    How long ago a file was written is the difference between this and its own time. Neither says
    anything when it is compared with `time.time()`.

    Raises
    ------
    OSError
        The folder takes no file: it is not there, or its disk is full or read-only.

    """
    probe = folder / f".clock.{os.getpid()}-{threading.get_ident()}"
    try:
        probe.write_bytes(b"")
        return probe.stat().st_mtime
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def ages(folder: Path) -> list[tuple[float, Path]]:
    """Return what lies in a folder and how many seconds ago it was written, the youngest first.

    What goes away meanwhile is left out. Where the folder takes no file, the time is unknown and
    the list is empty.
    """
    try:
        stamped, paths = now(folder), list(folder.iterdir())
    except OSError:
        return []
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            found.append((stamped - path.lstat().st_mtime, path))
    return sorted(found)
