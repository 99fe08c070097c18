"""The engine's sign of life: a small file, rewritten every second, that any program can read."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bridge.files import read_small, replace_text
from engine.errors import BadJob
from engine.folders import Folders
from engine.job import lines, parse_lines
from engine.lock import holder

__all__ = ["FRESH", "VERSION", "Heartbeat"]

FRESH = 5.0  # seconds after which a sign of life says nothing any more
VERSION = version("tweeze")


@dataclass(frozen=True)
class Heartbeat:
    """What the engine says of itself.

    `state` is `idle`, `loading` or `running`; `models` are those in memory, `queue` is the number
    of waiting jobs, `requests` that of requests which an editor is busy with, `running` the
    running job's id or ''; `worker` is a process id or 0.
    """

    pid: int
    version: str = VERSION
    models: tuple[str, ...] = ()
    state: str = "idle"
    queue: int = 0
    running: str = ""
    worker: int = 0
    requests: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing would be interrupted if the engine ended now."""
        return self.state == "idle" and not (self.queue or self.running or self.requests)

    def write(self, path: Path) -> None:
        """Replace the file at `path`."""
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
            ("time", str(int(time.time()))),
        ]
        replace_text(path, lines(pairs))

    @classmethod
    def read(cls, path: Path) -> Heartbeat | None:
        """Return what the file says, or None if there is none that can be understood."""
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
            )
        return None

    @classmethod
    def of_living(cls, folders: Folders) -> Heartbeat | None:
        """Return the sign of life of an engine that is there and answers, else None."""
        pid = holder(folders.lock)
        beat = cls.read(folders.heartbeat)
        if not pid or beat is None or beat.pid != pid:
            return None
        try:
            age = time.time() - folders.heartbeat.stat().st_mtime
        except OSError:
            return None
        return beat if abs(age) < FRESH else None
