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
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np
import psutil

from engine.advice import presence as both
from engine.advice.beside import SURE, speech_in
from engine.advice.examples import Example, embedding, placed
from engine.advice.sentences import LOW_PRESENCE, advice
from engine.errors import BadInput, Cancelled, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job, Task
from engine.models.base import FloatArray, Model, Separator
from engine.models.cache import Load, ModelCache
from engine.models.kinds import LISTENER
from engine.models.router import resolve
from engine.models.tasks import as_listener, as_separator
from engine.options import Presence
from engine.queue.lock import ProcessLock, holder
from engine.queue.messages import (
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
from engine.queue.teams import assemble
from engine.sound.memory import OutOfMemory, is_exhausted
from engine.sound.team import Team
from engine.status import Certainty, Clip, Heard
from engine.throttle import Throttle

__all__ = ["Listen", "Separate", "main", "serve"]

PULSE = 1.0  # seconds between signs of life
_PROGRESS = 0.05  # seconds between two messages of a job's progress
_NICENESS = 5  # the editor comes first
_LOG = logging.getLogger("tweeze.worker")
_PREDECESSOR = 5.0  # seconds that an earlier worker gets to end by itself, and then once killed


class Separate(Protocol):
    """What `engine.sound.separate.separate` looks like from here."""

    def __call__(
        self,
        job: Job,
        team: Team,
        folder: Path,
        *,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
        on_certainty: Callable[[float, FloatArray], None],
        on_notes: Callable[[tuple[str, ...]], None],
        reduction: int,
    ) -> tuple[Clip, ...]:
        """Separate `job` into `folder`."""


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
    """Serve with the real models until the pipe closes: what the service starts."""
    # Here and not at the module's head: the engine imports this module and needs neither.
    from engine.advice.listening import listen
    from engine.sound.separate import separate

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _reserve()

    def load(name: str, folders: Folders) -> Model:
        # torch is imported here and not at the module's head, so that signs of life come first.
        from engine.models import catalogue

        return catalogue.load(catalogue.entry(name, folders))

    serve(connection, folders, load=load, separate=separate, listen=listen)


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
    certainty: tuple[float, FloatArray] | None = None
    notes: tuple[str, ...] = ()
    throttle = Throttle(_PROGRESS)

    def on_progress(share: float) -> None:
        if throttle.passes(job.id, share >= 1.0):
            pipe.send(Progress(job.id, share))

    def on_certainty(step: float, values: FloatArray) -> None:
        nonlocal certainty
        certainty = step, values

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
            if pipe.is_cancelled(job.id):
                return Stopped(job.id)
            started = time.perf_counter()
            heard = listen(
                job, model, on_progress=on_progress, cancelled=cancelled, on_notes=on_notes
            )
            seconds = time.perf_counter() - started
            return Finished(job.id, (), seconds, notes=notes, heard=heard)
        separators = {name: as_separator(fetch(name)) for name in dict.fromkeys(job.answers)}
        if pipe.is_cancelled(job.id):
            return Stopped(job.id)
        beside = _is_beside(job, models, pipe)
        if beside and job.beside not in separators:
            separators[job.beside] = as_separator(fetch(job.beside))
        started = time.perf_counter()
        lead = separators[job.answers[0]]
        assembled = assemble(job, separators, beside=beside, embed=_shown(job, lead, models, pipe))
        clips = separate(
            job,
            assembled.team,
            work.folder,
            on_progress=on_progress,
            cancelled=cancelled,
            on_certainty=on_certainty,
            on_notes=on_notes,
            reduction=work.reduction,
        )
        low = LOW_PRESENCE
        asked = _asked(job, clips, certainty, models, pipe)
        if asked is not None:
            certainty, low = asked, both.load_weights().missing
        presence, over_time = _told(certainty)
        # Of what a specialist answered nobody says how likely it is there, so nothing is advised.
        best = () if certainty is None else np.nan_to_num(certainty[1].max(axis=1), nan=1.0)
        notes += assembled.notes + advice(
            job.queries, tuple(best), low, specialists=assembled.specialists
        )
        seconds = time.perf_counter() - started
        return Finished(
            job.id, clips, seconds, presence, notes, certainty=over_time, answers=job.answers
        )
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
        return Failed(job.id, _explain(error, job, folders), details=traceback.format_exc())


def _asked(
    job: Job,
    clips: tuple[Clip, ...],
    certainty: tuple[float, FloatArray] | None,
    models: ModelCache,
    pipe: _Pipe,
) -> tuple[float, FloatArray] | None:
    """Ask the listener, too, whether what was separated is there; None where it cannot tell.

    The clips are there already, so that nothing but a cancelled job keeps them back.
    """
    wanted = job.options.presence is Presence.BOTH and not job.options.like
    if not wanted or not both.is_fitted():
        return None
    step = _ending(job, pipe)
    try:
        listener = as_listener(models.fetch(LISTENER.name)[0])
        return both.ask(job, clips, listener, certainty, step=step)
    except Cancelled:
        raise
    except Exception as error:
        _LOG.warning("Job %s: the listener could not be asked (%s).", job.id, error)
        if is_exhausted(error):
            models.drop(LISTENER.name)
        return None


def _shown(
    job: Job, separator: Separator, models: ModelCache, pipe: _Pipe
) -> Callable[[str], FloatArray] | None:
    """Return how to embed the queries of a job that shows an example; None for another."""
    if not job.options.like:
        return None
    example = Example.from_text(job.options.like)
    listener = as_listener(models.fetch(LISTENER.name)[0])
    return embedding(separator, example, placed(example, listener, _ending(job, pipe)))


def _is_beside(job: Job, models: ModelCache, pipe: _Pipe) -> bool:
    """Return whether speech is heard beside what a job asks for, where that may compete."""
    if not job.beside:
        return False
    step = _ending(job, pipe)
    try:
        listener = as_listener(models.fetch(LISTENER.name)[0])
        return speech_in(job, listener, step) >= SURE
    except (Cancelled, BadInput):
        raise
    except Exception as error:
        _LOG.warning("Job %s: nobody listened for speech (%s).", job.id, error)
        if is_exhausted(error):
            models.drop(LISTENER.name)
        return False


def _ending(job: Job, pipe: _Pipe) -> Callable[[], None]:
    """Return what raises `Cancelled` once the job was cancelled."""

    def step() -> None:
        if pipe.is_cancelled(job.id):
            raise Cancelled(f"Job {job.id} was cancelled.")

    return step


def _told(
    certainty: tuple[float, FloatArray] | None,
) -> tuple[tuple[float, ...], tuple[Certainty, ...]]:
    """Return presence and certainty over time as a status has them."""
    if certainty is None or not np.isfinite(certainty[1]).all():
        return (), ()
    step, values = certainty
    presence = tuple(round(float(share), 2) for share in values.max(axis=1))
    return presence, tuple(Certainty.rounded(step, row) for row in values)


def _explain(error: Exception, job: Job, folders: Folders) -> str:
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
