"""What works on one machine of a cluster: holds the models, and separates one item at a time.

Nothing here knows of Ray, which makes one such object in each of its worker processes. Paths come
in and go out, never samples: recordings and results lie where all machines see them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import TweezeError
from engine.folders import Folders
from engine.job import Job
from engine.library.items import Item, write_cut
from engine.library.outcome import Outcome, failed, outcome
from engine.queue.heartbeat import VERSION

__all__ = ["Sight", "Task", "Worker", "look"]


@dataclass(frozen=True)
class Task:
    """An item, its job with the models named, and a folder of its own for what comes of it.

    `reduction` counts the processes that ended while they did it: see `engine.queue.messages.Work`.
    """

    item: Item
    job: Job
    folder: Path
    reduction: int = 0


@dataclass(frozen=True)
class Sight:
    """What a machine of a cluster sees.

    Attributes
    ----------
    machine
        Its name.
    version
        Of Tweeze there.
    missing
        Those of the paths that it was asked for and cannot read.
    wrote
        Whether it could write among the results.

    """

    machine: str
    version: str
    missing: tuple[Path, ...]
    wrote: bool


def look(token: Path | None, paths: Sequence[Path]) -> Sight:
    """Return what this machine sees; answers among the results, beside the file `token`."""
    missing = [path for path in paths if not _is_readable(path)]
    wrote = False
    if token is None:
        return Sight(socket.gethostname(), VERSION, tuple(missing), wrote)
    try:
        answer = token.with_name(f"{token.name}-{socket.gethostname()}-{os.getpid()}")
        answer.write_bytes(token.read_bytes())
        answer.unlink()
        wrote = True
    except OSError:
        missing.insert(0, token.parent)
    return Sight(socket.gethostname(), VERSION, tuple(missing), wrote)


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


class Worker:
    """Holds the models of one process and separates items, one after the other.

    `share` may be called from another thread meanwhile. A process that has not enough memory left
    ends; the item is for another one then, in shorter pieces.
    """

    def __init__(self) -> None:
        from engine.models.cache import ModelCache
        from engine.models.catalogue import entry, load

        self._folders = Folders.of_user()
        self._models = ModelCache(self._folders, lambda name, folders: load(entry(name, folders)))
        self._share = 0.0

    def ready(self) -> str:
        """Return this machine's name, once the process can work."""
        return socket.gethostname()

    def share(self) -> float:
        """Return how much of the item at hand is done, 0 to 1."""
        return self._share

    def separate(self, task: Task) -> Outcome:
        """Separate an item; whatever it holds against that is in its outcome."""
        self._share = 0.0
        try:
            task.folder.mkdir(parents=True)
            return self.outcome(task)
        except Exception as error:
            with contextlib.suppress(OSError):
                shutil.rmtree(task.folder)
            return replace(
                failed(task.item.key, error), error=" ".join(self._sentence(error, task).split())
            )

    def outcome(self, task: Task) -> Outcome:
        """Separate an item into its folder, or raise what is against it."""
        from engine.models.base import Model
        from engine.queue.separation import Separation
        from engine.sound.memory import OutOfMemory
        from engine.sound.separate import separate

        job = task.job
        if task.item.cut is not None:
            cut = task.folder / "cut.wav"
            write_cut(task.item.found.path, task.item.cut, cut)
            job = replace(job, mixture=cut)

        def fetch(name: str) -> Model:
            model, _ = self._models.fetch(name)
            return model

        def on_progress(share: float) -> None:
            self._share = share

        try:
            finished = Separation(
                job,
                task.folder / "clips",
                task.reduction,
                self._folders,
                self._models,
                fetch,
                separate,
                on_progress,
                lambda clips: None,
                lambda: False,
            ).finished()
        except OutOfMemory:
            os._exit(1)
        made = outcome(
            task.item.key,
            job,
            finished.clips,
            answers=finished.answers,
            presence=finished.presence,
            certainty=finished.certainty,
            took=finished.seconds,
            notes=finished.notes,
        )
        if task.item.cut is not None:
            job.mixture.unlink()
        return made

    def _sentence(self, error: Exception, task: Task) -> str:
        from engine.queue.worker import explain

        if isinstance(error, TweezeError):
            sentence = str(error)
        else:
            sentence = explain(error, task.job, self._folders)
        sentence = sentence.replace(str(task.folder / "cut.wav"), str(task.item.found.path))
        return f"{sentence} (On the machine {socket.gethostname()}.)"
