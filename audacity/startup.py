"""Keeps a starting Audacity's ear open for us.

An Audacity (3.2 to 3.7) that finds new plug-ins starts a child of its own kind to look at them.
The child loads mod-script-pipe as well, deletes the FIFOs and makes new ones, on which nobody
listens once it is done: until the next start Audacity would wait on FIFOs that no longer have a
name. A client that is connected before the child comes keeps the real ones; when it leaves,
Audacity makes named ones again. So somebody must connect in the first moments, and stay until
the project window answers: the resident engine does.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import psutil

from audacity.pipe import Pipe, listening_fifo
from engine.errors import HostError

__all__ = ["PAUSE", "Startup"]

PAUSE = 0.1  # seconds between looks; the child comes 0.2 s after the FIFOs at the earliest
_PATIENCE = 300.0  # seconds that looking at many new plug-ins may take
_YOUNG = 30.0  # seconds; who has run for longer is past the danger


class Startup:
    """Notices that an Audacity starts, and holds its pipe until it has a project window."""

    def __init__(self) -> None:
        self._known = _sign()
        self._attended: set[tuple[int, float]] = set()

    def noticed(self) -> bool:
        """Return whether FIFOs appeared since the last look; costs next to nothing."""
        if sys.platform == "win32":
            return False
        sign = _sign()
        if sign == self._known:
            return False
        self._known = sign
        return sign is not None

    def attend(self, abandoned: Callable[[], bool]) -> None:
        """Connect to an Audacity that has just started, and stay until it is ready.

        Calls `abandoned` meanwhile; true ends the wait.
        """
        young = _young_editors() - self._attended
        if not young:
            return
        self._attended |= young
        with (
            contextlib.suppress(HostError),
            Pipe(patience=_PATIENCE, abandon=abandoned),
        ):
            pass
        self._known = _sign()


def _sign() -> tuple[int, int] | None:
    try:
        about = listening_fifo().stat()
    except OSError:
        return None
    return about.st_ino, about.st_ctime_ns


def _young_editors() -> set[tuple[int, float]]:
    found = set()
    for process in psutil.process_iter(["name", "create_time"]):
        started = process.info["create_time"] or 0.0
        if (process.info["name"] or "").lower() != "audacity" or time.time() - started > _YOUNG:
            continue
        # Asked of those alone: the words of a process that hangs can hang who reads them.
        with contextlib.suppress(psutil.Error):
            if "--host" not in process.cmdline():
                found.add((process.pid, started))
    return found
