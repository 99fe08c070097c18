"""Batches through the user's own engine: a job or two in its queue at any time, one after another.

The editors' jobs come in between, since clients take turns.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import queue
import shutil
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

from bridge import launch
from bridge.client import Client
from bridge.separating import raise_unless_done
from engine.errors import Cancelled, EngineUnreachable, Failure, TweezeError
from engine.folders import Folders
from engine.library.items import Item, write_cut
from engine.library.outcome import Outcome, failed, outcome
from engine.status import Status

__all__ = ["EngineSeparating"]

_AHEAD = 2  # jobs at once: one that runs, and one that is looked at meanwhile
_LEAVE = 15.0  # seconds that jobs get to end when the batch does
_LOOK = 0.2  # seconds


class EngineSeparating:
    """Separates items by the user's engine, which is started where that is needed.

    Parameters
    ----------
    folders
        The user's.
    out
        Where the clips go. A job is called after that and its item: after a batch was killed the
        engine goes on with it, and the same batch takes up what came of it.
    on_share
        Called from other threads with an item and how much of it is done, 0 to 1.

    """

    def __init__(
        self,
        folders: Folders,
        out: Path,
        on_share: Callable[[Item, float], None] = lambda item, share: None,
    ) -> None:
        self._folders = folders
        self._out = out
        self._client = Client(folders)
        self._on_share = on_share
        self._stopped = threading.Event()
        self._jobs: set[str] = set()
        self._cuts = folders.root / "cuts"  # the engine removes what lies among its own mixtures

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Separate items; see `engine.library.batch.Separating`.

        Raises
        ------
        EngineUnreachable
            The engine does not start, does not answer, or ended twice.

        """
        waiting: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        launch.ensure(self._folders)
        self._tidy()

        def work() -> None:
            while (item := waiting.get()) is not None and not self._stopped.is_set():
                try:
                    done.put(self._outcome(item))
                except BaseException as error:  # noqa: PERF203 - the other thread must learn of it
                    done.put(error)
                    return

        threads = [threading.Thread(target=work, daemon=True) for _ in range(_AHEAD)]
        for thread in threads:
            thread.start()
        source = iter(items)
        running = 0
        try:
            while True:
                while running < _AHEAD and (item := next(source, None)) is not None:
                    waiting.put(item)
                    running += 1
                if not running:
                    return
                try:
                    found = done.get(timeout=_LOOK)  # in short steps, for signals' sake
                except queue.Empty:
                    continue
                if isinstance(found, BaseException):
                    raise found
                running -= 1
                yield found
        finally:
            self._leave(waiting, threads)

    def _outcome(self, item: Item) -> Outcome:
        id_ = self._id(item)
        cut = self._cuts / f"{id_}.wav"
        try:
            mixture = item.found.path
            if item.cut is not None:
                self._cuts.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not self._client.knows(id_):
                    part = cut.with_suffix(".part")
                    write_cut(mixture, item.cut, part)
                    part.replace(cut)
                mixture = cut
            job = item.job(id_, mixture, "batch")
            self._jobs.add(id_)
            status = self._client.separate(job, lambda status: self._told(item, status))
            raise_unless_done(status)
            return outcome(
                item.key,
                job,
                status.clips,
                answers=status.answers,
                presence=status.presence,
                certainty=status.certainty,
                took=status.seconds,
                notes=status.notes,
            )
        except (EngineUnreachable, Cancelled) as error:
            if self._stopped.is_set() or isinstance(error, EngineUnreachable):
                raise
            return failed(item.key, error)
        except (TweezeError, OSError) as error:
            self._forget(id_)
            sentence = str(error).replace(str(cut), str(item.found.path))
            plain = error if isinstance(error, TweezeError) else Failure(sentence)
            return replace(failed(item.key, plain), error=" ".join(sentence.split()))
        finally:
            self._jobs.discard(id_)
            with contextlib.suppress(OSError):
                cut.unlink(missing_ok=True)

    def _id(self, item: Item) -> str:
        """Return the id of the job that does an item, or has done it and nobody took its clips."""
        found = item.found
        asked = f"{self._out}\0{item.key}\0{found.size}\0{found.mtime_ns}"
        name = hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        for attempt in itertools.count(1):
            id_ = f"batch-{name}-{attempt}"
            status = self._client.status(id_)
            if status is None or not status.state.final:
                return id_
            if status.clips and all(clip.path.is_file() for clip in status.clips):
                return id_
        raise AssertionError

    def _told(self, item: Item, status: Status) -> None:
        if self._stopped.is_set():
            raise Cancelled(f"Job {status.id} was cancelled.")
        self._on_share(item, status.progress)

    def _leave(
        self, waiting: queue.SimpleQueue[Item | None], threads: Iterable[threading.Thread]
    ) -> None:
        """Cancel what runs, wait until the engine has let go of it, and remove what it made."""
        self._stopped.set()
        left = list(self._jobs)
        for id_ in left:
            with contextlib.suppress(TweezeError):
                self._client.cancel(id_)
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join(_LEAVE / _AHEAD)
        for id_ in left:
            self._forget(id_)
        with contextlib.suppress(OSError):
            self._cuts.rmdir()

    def _tidy(self) -> None:
        """Remove the stretches of jobs of which the engine knows nothing any more."""
        with contextlib.suppress(OSError):
            for cut in self._cuts.glob("*.wav"):
                if not self._client.knows(cut.stem):
                    cut.unlink()

    def _forget(self, id_: str) -> None:
        shutil.rmtree(Path(self._folders.clips) / id_, ignore_errors=True)
