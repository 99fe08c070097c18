"""The process that holds the model: takes jobs from a pipe, separates, tells how it goes.

It may be killed at any moment. What it wrote is then either whole under its final name or
unfinished in the job's `work` folder, from which the next worker goes on. It never outlives the
process that started it, and only one at a time works for a user.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NoReturn, Protocol

import numpy as np
import psutil

from engine.advice.listening import listen
from engine.errors import BadInput, Cancelled, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job, Task
from engine.models.base import Model
from engine.models.cache import Load, ModelCache
from engine.models.router import resolve
from engine.queue.lock import ProcessLock, holder
from engine.queue.messages import (
    Drafted,
    Failed,
    Finished,
    FromWorker,
    Loaded,
    Loading,
    Progress,
    Pulse,
    Stopped,
    ToWorker,
    Work,
)
from engine.queue.separation import Separate, Separation
from engine.sound.memory import OutOfMemory, is_exhausted
from engine.sound.separate import separate
from engine.status import Heard
from engine.throttle import Throttle

__all__ = ["Listen", "Separate", "explain", "main", "serve"]

PULSE = 1.0  # seconds between signs of life
_PROGRESS = 0.05  # seconds between two messages of a job's progress
_NICENESS = 5  # the editor comes first
_LOG = logging.getLogger("tweeze.worker")
_PREDECESSOR = 5.0  # seconds that an earlier worker gets to end by itself, and then once killed


class Listen(Protocol):
    """What `engine.advice.listening.listen` looks like from here."""

    def __call__(
        self,
        job: Job,
        model: Model,
        *,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
        on_notes: Callable[[tuple[str, ...]], None],
    ) -> tuple[Heard, ...]:
        """Name the sounds in the mixture of `job`."""


def main(connection: Connection, folders: Folders) -> None:
    """Serve with the real models until the pipe closes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _share_heap()
    _reserve()

    def load(name: str, folders: Folders) -> Model:
        # torch is imported here and not at the module's head, so that signs of life come first.
        from engine.models import catalogue

        return catalogue.load(catalogue.entry(name, folders))

    serve(connection, folders, load=load, separate=separate, listen=listen)


def _share_heap() -> None:
    """Have all threads allocate in one place, where that is glibc's business.

    By itself each thread gets one of its own, and keeps there what it once took: models that are
    asked in several threads would hold a hundred megabytes that nobody uses.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX, see mallopt(3)


def _reserve() -> None:
    """Have NumPy's matrix products get their buffers while there is memory.

    OpenBLAS gets them with the first product, and ends the process where it finds no memory.
    """
    square = np.ones((256, 256), np.float32)
    np.matmul(square, square, out=square)


def serve(
    connection: Connection, folders: Folders, *, load: Load, separate: Separate, listen: Listen
) -> None:
    """Do the jobs that come over `connection`, one after the other, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the engine to judge
    _die_with_parent()
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    pipe = _Pipe(connection)
    threading.Thread(target=pipe.pulse, name="pulse", daemon=True).start()
    threading.Thread(target=pipe.receive, name="receive", daemon=True).start()
    lock = ProcessLock(folders.root / "worker.lock")
    try:
        _take_over(lock)
    except Failure as error:
        pipe.send(Failed(pipe.jobs.get().job.id, str(error)))
        _leave()  # the next worker tries anew
    models = ModelCache(folders, load)
    while True:
        work = pipe.jobs.get()
        pipe.send(_do(work, models, separate, listen, pipe, folders))


def _do(
    work: Work,
    models: ModelCache,
    separate: Separate,
    listen: Listen,
    pipe: _Pipe,
    folders: Folders,
) -> FromWorker:
    job = work.job
    notes: tuple[str, ...] = ()
    throttle = Throttle(_PROGRESS)

    def on_progress(share: float) -> None:
        if throttle.passes(job.id, share >= 1.0):
            pipe.send(Progress(job.id, share))

    def on_notes(told: tuple[str, ...]) -> None:
        nonlocal notes
        notes = told

    def cancelled() -> bool:
        return pipe.is_cancelled(job.id)

    def fetch(name: str) -> Model:
        model, loading = models.fetch(name, lambda: pipe.send(Loading(name)))
        pipe.send(Loaded(name, loading, models.names))
        return model

    try:
        job = resolve(job, folders)
        if job.task is Task.LISTEN:
            model = fetch(job.options.model)
            if cancelled():
                return Stopped(job.id)
            started = time.perf_counter()
            heard = listen(
                job, model, on_progress=on_progress, cancelled=cancelled, on_notes=on_notes
            )
            seconds = time.perf_counter() - started
            return Finished(job.id, (), seconds, notes=notes, heard=heard)
        return Separation(
            job,
            work.folder,
            work.reduction,
            folders,
            models,
            fetch,
            separate,
            on_progress,
            lambda clips: pipe.send(Drafted(job.id, clips)),
            cancelled,
        ).finished()
    except Cancelled:
        return Stopped(job.id)
    except OutOfMemory:
        _leave()  # the next worker goes on with shorter segments, and has not wasted anything yet
    except TweezeError as error:
        return Failed(
            job.id,
            str(error),
            bad_input=isinstance(error, BadInput),
            details="" if isinstance(error, BadInput) else traceback.format_exc(),
        )
    except Exception as error:
        return Failed(job.id, explain(error, job, folders), details=traceback.format_exc())


def explain(error: Exception, job: Job, folders: Folders) -> str:
    """Return a sentence for the user about an error that is none of Tweeze's own."""
    name = f"'{job.mixture.name}'"
    if is_exhausted(error):
        return (
            f"There is not enough memory to separate {name}, not even in short pieces: close "
            "other programs, or take a smaller model."
        )
    if isinstance(error, OSError) and error.strerror:
        where = f" '{error.filename}'" if error.filename else ""
        return f"Separating {name} failed at the file{where}: {error.strerror}."
    return (
        f"Unexpected error ({type(error).__name__}) while separating {name}: see 'tweeze log' "
        f"({folders.log})."
    )


class _Pipe:
    """The worker's end of the pipe, shared by its threads. Where it breaks, the process ends."""

    def __init__(self, connection: Connection) -> None:
        self.jobs: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._connection = connection
        self._sending = threading.Lock()
        self._cancelled: set[str] = set()

    def send(self, message: FromWorker) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            _leave()

    def pulse(self) -> None:
        while True:
            self.send(Pulse())
            time.sleep(PULSE)

    def receive(self) -> None:
        while True:
            try:
                message: ToWorker = self._connection.recv()
            except (EOFError, OSError):
                _leave()
            if isinstance(message, Work):
                self._cancelled.clear()
                self.jobs.put(message)
            else:
                self._cancelled.add(message.id)

    def is_cancelled(self, job: str) -> bool:
        return job in self._cancelled


def _leave() -> NoReturn:
    # At once, from whatever thread: nobody is left to work for, and files need no farewell.
    os._exit(0)


def _die_with_parent() -> None:
    """Ask Linux to kill this process with its parent, so that a stopped one goes too."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG, see prctl(2)


_HELD = (
    "An earlier process for the model ({}) does not end and holds {}: end it by hand, or start "
    "the computer anew."
)


def _take_over(lock: ProcessLock) -> None:
    """Wait until no other worker is left that could write into the same folders.

    One that was killed and still does not end waits for a disk that does not answer. It will not
    write any more, but it keeps its lock: that file is set aside for a new one.

    Raises
    ------
    Failure
        Another worker holds the lock and cannot be killed, or its file cannot be set aside.

    """
    deadline = time.monotonic() + _PREDECESSOR
    killed = 0
    while not lock.take():
        if time.monotonic() > deadline:
            deadline = time.monotonic() + _PREDECESSOR
            old = holder(lock.path)
            try:
                if old and old == killed:
                    lock.path.unlink()
                elif old:
                    killed = old
                    with contextlib.suppress(psutil.NoSuchProcess):
                        psutil.Process(old).kill()
                elif old is not None:
                    raise Failure(_HELD.format("whose number nobody wrote down", lock.path))
            except (OSError, psutil.Error) as error:
                raise Failure(_HELD.format(f"process {old}, {error}", lock.path)) from error
        time.sleep(0.02)
