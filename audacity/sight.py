"""Which project Audacity has open, seen from outside, without a question to Audacity.

To ask for a project's name and rate takes a Nyquist script, by far the longest of all commands.
Each project with audio in it keeps its database open: where Audacity holds a single one, and it is
the one of before, the project in front is the one of before. Linux only: elsewhere, and wherever
something is not quite clear, nothing is seen, and Audacity is asked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from audacity.pipe import listening_fifo

__all__ = ["Sight", "look"]

_DATABASES = (".aup3", ".aup3unsaved")


@dataclass(frozen=True)
class Sight:
    """The Audacity that listens on the pipe, and the one project that it has open.

    Attributes
    ----------
    pid, started
        The process, and when it was started, in seconds since 1970.
    path, device, inode
        The project's database.

    """

    pid: int
    started: float
    path: str
    device: int
    inode: int

    def holds(self) -> bool:
        """Return whether the same project is still the only one of the same Audacity."""
        return _sight(self.pid) == self


def look() -> Sight | None:
    """Return what is seen; None where that is not one Audacity with one project."""
    found = [sight for sight in map(_sight, _audacitys()) if sight is not None]
    return found[0] if len(found) == 1 else None


def _audacitys() -> list[int]:
    if not Path("/proc/self/fd").exists():
        return []
    return [
        process.pid
        for process in psutil.process_iter(["name"])
        if (process.info["name"] or "").lower() == "audacity"
    ]


def _sight(pid: int) -> Sight | None:
    """Return what a process has open; None if it does not listen, or has not just one project."""
    try:
        fifo = listening_fifo().stat()
        listens, databases = False, set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)  # noqa: PTH115 (a name, which need not be a path)
            if target.endswith(_DATABASES):
                about = link.stat()
                databases.add((target, about.st_dev, about.st_ino))
            elif "audacity_script_pipe.to" in target:
                about = link.stat()
                listens = listens or (about.st_dev, about.st_ino) == (fifo.st_dev, fifo.st_ino)
            elif target.endswith(tuple(f"{name} (deleted)" for name in _DATABASES)):
                return None
        if not listens or len(databases) != 1:
            return None
        return Sight(pid, psutil.Process(pid).create_time(), *databases.pop())
    except (OSError, psutil.Error):
        return None
