"""The engine's sign of life: a small file, rewritten every second, that any program can read.

An engine is **alive** if the file's own `time=` is less than `FRESH` seconds from the reader's
clock: Python, REAPER's Lua and Audacity's Nyquist all judge by that. The file's modification time
says nothing (a file server has a clock of its own). On a full disk the engine writes over the file
where it lies, which takes no room, so the time goes on there as well.

Who can see the lock of `engine.queue.lock` knows of an engine's *end* at once, before its time is
old.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from engine.errors import BadJob
from engine.files import read_small, replace_text
from engine.folders import Folders
from engine.queue.lock import holder
from engine.text_form import lines, parse_lines

__all__ = ["FRESH", "STALLED", "VERSION", "Heartbeat", "is_fresh"]

FRESH = 5.0  # seconds; after that a sign of life says nothing any more (see home.lua, common.lsp)
VERSION = version("tweeze")
STALLED = 60  # seconds without progress after which a queue may be stuck
_NOTICE = 400  # characters, so that the whole fits into the file
_SIZE = 1024  # bytes of the file, always: one that lies there can be written over by any other


def is_fresh(written: float) -> bool:
    """Return whether a heartbeat of that time (seconds since 1970) means that its writer lives.

    A time slightly in the future counts as well: the clock may just have been set back.
    """
    return abs(time.time() - written) < FRESH


@dataclass(frozen=True)
class Heartbeat:
    """The state of the engine, as its heartbeat file gives it.

    `state` is `idle`, `looking` (at the files of waiting jobs), `loading` or `running`; `models`
    are those in memory, `queue` is the number of waiting jobs, `requests` the number of requests
    that editors are working on, `running` the running job's id or ''; `worker` is a process id or
    0. `blind` explains in a sentence why the file system does not report new files, or is '';
    `notice` is `Journal.notice`. `stalled` counts the seconds since any job last made progress, 0
    without jobs. `time` is when the file was written (seconds since 1970).
    """

    pid: int
    version: str = VERSION
    models: tuple[str, ...] = ()
    state: str = "idle"
    queue: int = 0
    running: str = ""
    worker: int = 0
    requests: int = 0
    blind: str = ""
    notice: str = ""
    stalled: int = 0
    time: int = field(default=0, compare=False)

    @property
    def idle(self) -> bool:
        """Whether stopping the engine now would interrupt nothing."""
        return self.state == "idle" and not (self.queue or self.running or self.requests)

    def write(self, path: Path) -> None:
        """Replace the file at `path`, or write over it where the disk has no room for another.

        Raises
        ------
        OSError
            Neither worked.

        """
        pairs = [
            ("tweeze", "1"),
            ("pid", str(self.pid)),
            ("version", self.version),
            ("model", " ".join(self.models)),
            ("state", self.state),
            ("queue", str(self.queue)),
            ("running", self.running),
            ("worker", str(self.worker)),
            ("requests", str(self.requests)),
            ("blind", self.blind),
            ("notice", self.notice[:_NOTICE]),
            ("stalled", str(self.stalled)),
            ("time", str(int(time.time()))),
        ]
        missing = _SIZE - len(lines([*pairs, ("room", "")]).encode())
        text = lines([*pairs, ("room", "." * missing)])
        try:
            replace_text(path, text)
        except OSError:
            _write_over(path, text)

    @classmethod
    def read(cls, path: Path) -> Heartbeat | None:
        """Read the file; None if it is missing or malformed."""
        with contextlib.suppress(OSError, BadJob, ValueError, KeyError):
            said = dict(parse_lines(read_small(path)))
            return cls(
                pid=int(said["pid"]),
                version=said["version"],
                models=tuple(said["model"].split()),
                state=said["state"],
                queue=int(said["queue"]),
                running=said["running"],
                worker=int(said["worker"]),
                requests=int(said.get("requests", "0")),  # engines of 0.1 do not say it
                blind=said.get("blind", ""),
                notice=said.get("notice", ""),
                stalled=int(said.get("stalled", "0")),
                time=int(said["time"]),
            )
        return None

    @classmethod
    def of_living(cls, folders: Folders) -> Heartbeat | None:
        """Return the heartbeat of a running engine that answers, else None."""
        pid = holder(folders.lock)
        beat = cls.read(folders.heartbeat)
        if pid is None or beat is None or not is_fresh(beat.time):
            return None
        # The lock says 0 where the disk had no room for the process's id.
        return beat if pid in (0, beat.pid) else None


def _write_over(path: Path, text: str) -> None:
    """Overwrite an existing file of the same size in place."""
    flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "wb", buffering=0) as file:
        file.write(text.encode())
