"""Stand-ins for what separates a batch's items, and recordings for them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import Failure
from engine.file_names import file_name
from engine.library.actor import Task
from engine.library.content import DIMENSIONS, Content
from engine.library.finding import Found
from engine.library.items import Item
from engine.library.outcome import Outcome, failed, outcome
from engine.sound.audio import AudioInfo, FrameWriter
from engine.status import Clip, ClipKind

if TYPE_CHECKING:
    from engine.library import hearers

RATE = 8000


def write_tone(path: Path, seconds: float = 0.1, level: float = 0.5) -> Path:
    """Write a stereo recording whose samples depend on nothing but its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = round(seconds * RATE)
    wave = level * np.sin(np.arange(frames) * (1 + sum(path.name.encode()) % 7) / 20)
    writer = FrameWriter(path, AudioInfo(RATE, 2, frames))
    writer.write(np.stack([wave, -wave]).astype(np.float32))
    writer.close()
    return path


def found(path: Path, top: Path) -> Found:
    about = path.stat()
    return Found(path, path.relative_to(top), about.st_size, about.st_mtime_ns)


def separated(item: Item, folder: Path, id_: str) -> Outcome:
    """Return half of a recording for each query, as a worker would; 'fail' fails."""
    job = item.job(id_, item.found.path, "test")
    if any("fail" in query for query in item.queries):
        return failed(item.key, Failure("It was asked to fail."))
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, query in enumerate(item.queries):
        path = folder / f"{file_name(item.title, query)}.wav"
        path.write_bytes(item.found.path.read_bytes())
        with path.open("r+b") as file:
            file.seek(58)
            samples = np.frombuffer(file.read(), "<f4") / np.float32(2 + number)
            file.seek(58)
            file.write(samples.astype("<f4").tobytes())
        clips.append(Clip(path, ClipKind.TARGET, query, query))
    sure = [0.1 if "gone" in query else 0.9 for query in item.queries]
    return outcome(
        item.key,
        job,
        clips,
        answers=["stand-in"] * len(item.queries),
        presence=sure,
        certainty=(),
        took=0.01,
        notes=(),
    )


class Separating:
    """Separates in this process; `asked` are the recordings that it was asked for."""

    def __init__(self, folder: Path, *, before: Callable[[Item], None] = lambda item: None) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.closed = False
        self._before = before

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        try:
            for number, item in enumerate(items):
                self._before(item)
                self.asked.append(item.found.place.as_posix())
                yield separated(item, self.folder / f"{number}-{os.getpid()}", f"j{number}")
        finally:
            self.closed = True


class Sleeper:
    """A cluster's worker that takes as long as its query says (`sleep 0.1`), and may misbehave.

    `die FILE` ends its process, and `stall FILE` makes it wait, once: where there is that file,
    which it removes first. `doom` ends it each time. `full FILE` fails, as with a full disk, on the
    machine that FILE names, and `slow FILE` takes three seconds more there.
    """

    def __init__(self) -> None:
        self._share = 0.0

    def ready(self) -> str:
        return machine()

    def share(self) -> float:
        return self._share

    def separate(self, task: Task) -> Outcome:
        for query in task.item.queries:
            what, _, value = query.partition(" ")
            if what == "sleep":
                steps = max(1, round(float(value) / 0.05))
                for step in range(steps):
                    self._share = step / steps
                    time.sleep(float(value) / steps)
            if what in ("die", "stall") and (file := Path(value)).exists():
                file.unlink()
                if what == "stall":
                    time.sleep(600)
                os._exit(1)
            if what == "doom":
                os._exit(1)
            if what == "slow" and Path(value).read_text() == machine():
                time.sleep(3)
            if what == "full" and Path(value).read_text() == machine():
                return failed(task.item.key, Failure("The disk is full."))
        made = separated(task.item, task.folder, task.job.id)
        with (task.folder.parent.parent.parent / "who.txt").open("a") as told:
            told.write(f"{task.item.found.place} {machine()}\n")
        return made


class Listening:
    """A cluster's listener that hears nothing; a file called `die` ends its process, once.

    What listens takes long to import, and no other stand-in needs it.
    """

    def __init__(self) -> None:
        self._seconds = 0.0

    def ready(self) -> str:
        return machine()

    def share(self) -> float:
        return self._seconds

    def digest(self, item: hearers.Item) -> bytes | hearers.Refused:
        from engine.library import hearers
        from engine.library.hearing import digest_of

        if item.path.name == "bad.wav":
            return hearers.Refused(item, "It is no audio.", passing=False)
        return digest_of(item.path)

    def hear(self, item: hearers.Item, digest: bytes) -> Content:
        from engine.library.hearing import quantised

        trigger = item.path.with_name("die")
        if item.path.name == "die.wav" and trigger.exists():
            trigger.unlink()
            os._exit(1)
        silent = quantised(np.zeros((1, DIMENSIONS), np.float32))
        return Content(digest, RATE, RATE, 2, "standin", (), silent, ())


def machine() -> str:
    """Return the name of the machine: its node's, since all are on this one."""
    import ray

    return f"{socket.gethostname()}-{ray.get_runtime_context().get_node_id()[:8]}"
