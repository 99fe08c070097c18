"""The queue: takes jobs, has a worker do them one after the other, and tells how they go.

Every step is in the journal before anyone hears of it, so that a job outlives this process. The
worker may die or hang at any moment; then another takes over where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from engine.errors import BadAudio, BadInput, BadJob, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job
from engine.queue import worker
from engine.queue.admission import admit
from engine.queue.cleaning import Keeping, clean
from engine.queue.journal import Journal
from engine.queue.messages import (
    Cancel,
    Failed,
    Finished,
    FromWorker,
    Gone,
    Loaded,
    Loading,
    Progress,
    Stopped,
    Work,
)
from engine.queue.worker_handle import WorkerHandle, WorkerMain
from engine.settings import Settings
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside, briefly, within

__all__ = ["Activity", "Limits", "Listener", "Service"]

Listener = Callable[[Status], None]
_HOUSE = 5.0  # seconds between looks whether the journal can take what it could not
_FOREIGN = 0.2  # seconds between looks whether the folders are this engine's again
_CLEANING = 3600.0  # seconds between two clean-ups
_LOG = logging.getLogger("tweeze.service")


@dataclass(frozen=True)
class Limits:
    """When the service loses patience.

    Attributes
    ----------
    idle
        Seconds without a job after which the worker goes, and its memory with it.
    silence
        Seconds without a sign of life after which a worker counts as hung. Not a limit on the
        work: signs of life come from a thread of their own, however long a segment takes.
    deaths
        Workers that may end while they do one job, before the job is given up. An end of the
        engine itself is none of the job's doing, and does not count.
    admission
        Seconds that looking at a job's mixture may take, before the job is given up: the file may
        lie on a network share that does not answer.
    obedience
        Seconds that a worker gets to leave a cancelled job, before it is ended.

    """

    idle: float = 900.0
    silence: float = 15.0
    deaths: int = 3
    admission: float = 30.0
    obedience: float = 20.0

    @classmethod
    def of_environment(cls) -> Limits:
        """Return the limits, with `TWEEZE_IDLE_MINUTES` in place of the usual 15."""
        return cls(idle=60 * Settings.of_environment().idle_minutes)


class Activity(str, Enum):
    """What the service is doing."""

    IDLE = "idle"
    LOOKING = "looking"  # at the mixtures of jobs, before they may run
    LOADING = "loading"
    RUNNING = "running"


@dataclass(eq=False)
class _Ticket:
    """A job that has not come to its end."""

    number: int
    job: Job
    status: Status
    deaths: int
    looked: asyncio.Event  # set when the job was looked at: it may run, or has ended
    looking: asyncio.Future[None] | None = None
    cancelled: float | None = None  # when the user asked for it (monotonic)
    spent: float = 0.0  # seconds that workers put in which did not come to the end
    begun: float | None = None  # when the present worker began to separate (monotonic)


class Service:
    """Queue, progress, cancelling, and supervision of the worker; lives in one event loop.

    `start` it, then use it from the loop's own thread. `worker_main` is what the worker process
    runs; tests put their own there.
    """

    def __init__(
        self,
        folders: Folders,
        journal: Journal,
        *,
        limits: Limits | None = None,
        keeping: Keeping | None = None,
        worker_main: WorkerMain = worker.main,
    ) -> None:
        self.folders = folders
        self.journal = journal
        self._activity = Activity.IDLE  # of the one task that has jobs done
        self._moved = time.monotonic()  # when a job last came on
        self._limits = limits or Limits()
        self._keeping = keeping or Keeping()
        self._worker_main = worker_main
        self._worker: WorkerHandle | None = None
        self._models: list[str] = []
        self._tickets: dict[str, _Ticket] = {}
        self._running: _Ticket | None = None
        self._served: dict[str, int] = {}
        self._turn = 0
        self._listeners: list[Listener] = []
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._admissions: dict[str, asyncio.Task[None]] = {}  # by client
        self._unrecorded: dict[str, tuple[Status, int]] = {}  # what the journal does not know yet
        self._complained: dict[str, JobState] = {}

    async def start(self) -> None:
        """Take up the jobs that an earlier process left, and begin."""
        for entry in self.journal.unfinished():
            ticket = _Ticket(
                entry.number,
                entry.job,
                entry.status,
                entry.deaths,
                looked=asyncio.Event(),
                spent=entry.status.seconds,
            )
            self._tickets[entry.job.id] = ticket
            if entry.status.state is JobState.RUNNING or entry.status.seconds:
                ticket.looked.set()  # it was begun, and has room for its clips
            if entry.status.state is JobState.RUNNING:
                _LOG.info("Job %s was running when the engine ended.", entry.job.id)
                self._tell(ticket, replace(entry.status, state=JobState.QUEUED))
            self._begin_admission(entry.job.client)
        self._tasks = [
            asyncio.create_task(self._work(), name="tweeze-service"),
            asyncio.create_task(self._keep_house(), name="tweeze-house"),
        ]

    async def stop(self) -> None:
        """End the worker; the running job goes back to the queue, for the next start."""
        tasks = [*self._tasks, *self._admissions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._running is not None and not self._running.status.state.final:
            self._wait_again(self._running)
        await self._dismiss()

    @property
    def activity(self) -> Activity:
        """What it is doing: idle only where there is nothing to do."""
        if self._activity is Activity.IDLE and self._tickets:
            return Activity.LOOKING
        return self._activity

    @property
    def stalled(self) -> float:
        """Seconds since any job last came on; 0 where there is nothing to do."""
        return time.monotonic() - self._moved if self._tickets else 0.0

    @property
    def queue_length(self) -> int:
        """How many jobs wait, the running one not counted."""
        return sum(ticket is not self._running for ticket in self._tickets.values())

    @property
    def running(self) -> str:
        """Id of the running job, or ''."""
        return self._running.job.id if self._running else ""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the loaded models, the one used last at the end."""
        return tuple(self._models)

    @property
    def worker_pid(self) -> int:
        """Process id of the worker, 0 where there is none."""
        return self._worker.pid if self._worker else 0

    async def submit(self, job: Job, *, attendant: str = "") -> Status:
        """Take a job into the queue and return where it stands; does not look at its mixture.

        A job that was submitted before, with the same id and content, is not done twice. Whether
        the job can be done is told by its status, or by `admitted`. `attendant` is the editor
        whose part attends to the job's end (`Journal.attended_by`).

        Raises
        ------
        BadJob
            Another job has that id.
        Failure
            The journal refuses: nothing is promised.

        """
        known = self.journal.get(job.id)
        entry = self.journal.accept(job, attendant=attendant)
        if known is not None:
            return self.status(job.id)
        if not self._tickets:
            self._moved = time.monotonic()
        ticket = self._tickets[job.id] = _Ticket(
            entry.number, job, entry.status, entry.deaths, looked=asyncio.Event()
        )
        self._tell(ticket, ticket.status, record=False)
        self._begin_admission(job.client)
        return ticket.status

    async def admitted(self, id: str) -> Status:  # noqa: A002
        """Wait until a job was looked at, and return its status: failed if it cannot be done.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        if ticket is not None:
            await ticket.looked.wait()
        return self.status(id)

    def cancel(self, id: str) -> Status:  # noqa: A002
        """Cancel a job: at once where it waits, at the next segment where it runs.

        A worker that is only loading a model cannot hear of it for long, so it is ended; one that
        hears of it and goes on nevertheless is ended after a while.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        if ticket is None:
            return self.status(id)
        if ticket is not self._running:
            return self._end(ticket, JobState.CANCELLED, _cancelled(ticket.job))
        if ticket.cancelled is not None:
            return ticket.status  # told once: a worker that stands still reads nothing
        ticket.cancelled = time.monotonic()
        if self._worker is not None:
            if self._activity is Activity.LOADING or not self._worker.greeted:
                self._worker.kill()
            else:
                self._worker.send(Cancel(id))
        return ticket.status

    def status(self, id: str) -> Status:  # noqa: A002
        """Return where a job stands; BadJob if there is none of that id."""
        if id in self._tickets:
            return self._tickets[id].status
        if id in self._unrecorded:
            return self._unrecorded[id][0]
        entry = self.journal.get(id)
        if entry is None:
            raise BadJob(f"There is no job {id}: see 'tweeze status' for those there are.")
        return entry.status

    def is_admitted(self, id: str) -> bool:  # noqa: A002
        """Return whether a job was looked at and let into the queue, or has come to its end.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        return self.status(id).state.final if ticket is None else ticket.looked.is_set()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with each new status of each job; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def finished(self, id: str) -> Status:  # noqa: A002
        """Wait until a job has come to its end, and return its status."""
        ended = asyncio.Event()
        remove = self.listen(lambda status: ended.set() if status.id == id else None)
        try:
            while not (status := self.status(id)).state.final:
                await ended.wait()
                ended.clear()
            return status
        finally:
            remove()

    # Looking at jobs: one after the other of each client's, so that one whose file lies on a share
    # that hangs keeps nobody else waiting.

    def _begin_admission(self, client: str) -> None:
        if client not in self._admissions:
            task = asyncio.create_task(self._admit_all(client), name=f"tweeze-admission-{client}")
            self._admissions[client] = task

    async def _admit_all(self, client: str) -> None:
        try:
            while (ticket := self._first_to_admit(client)) is not None:
                await self._admit(ticket)
        finally:
            del self._admissions[client]

    def _first_to_admit(self, client: str) -> _Ticket | None:
        tickets = (
            ticket
            for ticket in self._tickets.values()
            if ticket.job.client == client and not ticket.looked.is_set()
        )
        return min(tickets, key=lambda ticket: ticket.number, default=None)

    async def _admit(self, ticket: _Ticket) -> None:
        """Look whether a job can be done; in a thread that may hang, and is then left to itself."""
        job = ticket.job
        try:
            looking = ticket.looking = aside(
                lambda: _look_at(job, self.folders), name=f"admission-{job.id}"
            )
            await asyncio.wait({looking}, timeout=self._limits.admission)
            if ticket.status.state.final:  # it was cancelled meanwhile
                return
            if not looking.done():
                raise BadAudio(
                    f"'{job.mixture.name}' could not be looked at within "
                    f"{self._limits.admission:.0f} s: the disk or network share that holds it does "
                    "not answer. Copy the file to a disk of this machine."
                )
            looking.result()
        except TweezeError as error:
            bad = isinstance(error, BadInput)
            self._end(ticket, JobState.FAILED, str(error), bad_input=bad)
        except Exception as error:
            _LOG.exception("Job %s could not be looked at.", job.id)
            reason = f"'{job.mixture.name}' could not be looked at ({error})."
            self._end(ticket, JobState.FAILED, reason)
        else:
            _LOG.info("Job %s: %s, %s.", job.id, job.options.model, ascii(job.queries))
            ticket.looked.set()
            self._news.set()
        finally:
            if ticket.looking is not None:
                ticket.looking.cancel()
                ticket.looking = None

    # The work itself: one task, one job at a time.

    async def _work(self) -> None:
        while True:
            ticket = self._next()
            if ticket is None:
                await self._wait_for_news()
                continue
            self._running = ticket
            try:
                await self._attend(ticket)
            except Exception:
                _LOG.exception("Job %s failed inside the engine.", ticket.job.id)
                await self._dismiss()
                self._end(
                    ticket,
                    JobState.FAILED,
                    f"Unexpected error: see 'tweeze log' ({self.folders.log}).",
                )
            self._running = None
            self._activity = Activity.IDLE

    async def _wait_for_news(self) -> None:
        """Wait for a job; with nothing to do for long, let the worker go."""
        self._news.clear()
        self._served.clear()  # nobody waits, so nobody has a claim to be next
        idle_since = time.monotonic()
        while not self._news.is_set():
            wait: float | None = None
            if self._worker is not None:
                wait = min(1.0, idle_since + self._limits.idle - time.monotonic())
                if wait <= 0:
                    _LOG.info("Nothing to do for %.0f s: the worker goes.", self._limits.idle)
                    await self._dismiss()
                    continue
                await self._clear_dead_worker()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(wait, self._news.wait())

    async def _clear_dead_worker(self) -> None:
        """Do not leave it to the next job to find that the waiting worker died or hangs."""
        handle = self._worker
        if handle is None:
            return
        if not handle.inbox.empty() or handle.silence > self._limits.silence:
            await self._dismiss()

    def _next(self) -> _Ticket | None:
        """Return the job to do: clients take turns, and each client's jobs go in order."""
        first: dict[str, _Ticket] = {}
        for ticket in sorted(self._tickets.values(), key=lambda ticket: ticket.number):
            first.setdefault(ticket.job.client, ticket)
        ready = (ticket for ticket in first.values() if ticket.looked.is_set())
        return min(ready, key=lambda ticket: self._served.get(ticket.job.client, 0), default=None)

    async def _attend(self, ticket: _Ticket) -> None:
        """Do one job, with as many workers as it takes."""
        self._turn += 1
        self._served[ticket.job.client] = self._turn
        while not ticket.status.state.final:
            if ticket.cancelled is not None:
                self._end(ticket, JobState.CANCELLED, _cancelled(ticket.job))
                return
            await self._clear_dead_worker()
            while not self.journal.owned():
                await asyncio.sleep(_FOREIGN)  # a worker would make the folders again
            self._activity = Activity.RUNNING
            self._tell(ticket, replace(ticket.status, state=JobState.RUNNING))
            try:
                handle = self._worker = self._worker or WorkerHandle(
                    self._worker_main, self.folders
                )
            except Failure as error:
                self._end(ticket, JobState.FAILED, str(error))
                return
            handle.send(Work(ticket.job, self.folders.clips / ticket.job.id, ticket.deaths))
            if ticket.cancelled is not None:
                handle.send(Cancel(ticket.job.id))
            while True:
                message = await self._hear(handle, ticket)
                if isinstance(message, Gone):
                    await self._dismiss()
                    if ticket.cancelled is None:
                        self._count_death(ticket)
                    break
                self._heed(ticket, message)
                if ticket.status.state.final:
                    break

    async def _hear(self, handle: WorkerHandle, ticket: _Ticket) -> FromWorker:
        """Return the worker's next message; one that says nothing or does not obey is ended."""
        tick = max(0.05, min(1.0, self._limits.silence / 4))
        while True:
            asked = time.monotonic()
            if ticket.cancelled is not None and asked - ticket.cancelled > self._limits.obedience:
                _LOG.warning("Worker %d does not leave a cancelled job: it is ended.", handle.pid)
                return Gone()
            try:
                return await within(tick, handle.inbox.get())
            except asyncio.TimeoutError:
                pass
            if time.monotonic() - asked > 3 * tick:
                handle.excuse()  # this process was held up as well: a suspended machine, perhaps
            elif handle.silence > self._patience(handle):
                _LOG.warning("Worker %d is silent: it is replaced.", handle.pid)
                return Gone()

    def _patience(self, handle: WorkerHandle) -> float:
        # Starting a process and loading large libraries from a cold disk, on a machine that has
        # other things to do, can hold up every thread of the worker.
        slow = self._activity is Activity.LOADING or not handle.greeted
        return self._limits.silence * (4 if slow else 1)

    def _heed(self, ticket: _Ticket, message: FromWorker) -> None:
        status = ticket.status
        if isinstance(message, Loading | Loaded):
            self._moved = time.monotonic()
        if isinstance(message, Loading):
            self._activity = Activity.LOADING
        elif isinstance(message, Loaded):
            self._activity = Activity.RUNNING
            self._models = [name for name in self._models if name != message.model][-1:]
            self._models.append(message.model)
            self._tell(
                ticket, replace(status, loading=status.loading + message.seconds), record=False
            )
            ticket.begun = time.monotonic()
        elif isinstance(message, Progress) and message.id == status.id:
            share = max(status.progress, min(1.0, message.share))
            self._tell(ticket, replace(status, progress=share), record=False)
        elif isinstance(message, Finished) and message.id == status.id:
            if ticket.cancelled is not None:
                self._end(ticket, JobState.CANCELLED, _cancelled(ticket.job))
                return
            seconds = ticket.spent + message.seconds
            ticket.status = replace(
                status,
                progress=1.0,
                clips=message.clips,
                seconds=seconds,
                presence=message.presence,
                notes=tuple(one_line(note) for note in message.notes),
                heard=message.heard,
            )
            self._end(ticket, JobState.DONE, "")
        elif isinstance(message, Stopped) and message.id == status.id:
            self._end(ticket, JobState.CANCELLED, _cancelled(ticket.job))
        elif isinstance(message, Failed) and message.id == status.id:
            if message.details:
                _LOG.error("Job %s failed in the worker:\n%s", status.id, message.details)
            self._end(ticket, JobState.FAILED, message.message, bad_input=message.bad_input)

    async def _dismiss(self) -> None:
        handle, self._worker = self._worker, None
        self._models = []
        if handle is not None:
            await handle.close()

    def _count_death(self, ticket: _Ticket) -> None:
        """The worker that did a job is gone: the job waits again, or is given up."""
        ticket.deaths += 1
        if ticket.deaths < self._limits.deaths:
            self._wait_again(ticket)
            return
        self._end(
            ticket,
            JobState.FAILED,
            f"The process that separates ended {ticket.deaths} times while it worked on "
            f"'{ticket.job.mixture.name}', perhaps for lack of memory: close other programs, "
            "or take a shorter selection.",
        )

    def _wait_again(self, ticket: _Ticket) -> None:
        """Put the running job back into the queue, with the time that went into it."""
        if ticket.begun is not None:
            ticket.spent += time.monotonic() - ticket.begun
            ticket.begun = None
        self._tell(ticket, replace(ticket.status, state=JobState.QUEUED, seconds=ticket.spent))

    def _end(
        self, ticket: _Ticket, state: JobState, message: str, *, bad_input: bool = False
    ) -> Status:
        status = replace(ticket.status, state=state, message=one_line(message), bad_input=bad_input)
        self._tickets.pop(ticket.job.id, None)
        if ticket is self._running:
            self._running = None
            self._activity = Activity.IDLE
        if ticket.looking is not None:
            ticket.looking.cancel()
        if state is not JobState.DONE:
            folder = self.folders.clips / ticket.job.id
            briefly(lambda: shutil.rmtree(folder, ignore_errors=True), name="removal")
        _LOG.info("Job %s: %s. %s", status.id, state.value, status.message)
        self._tell(ticket, status)
        self._remove_mixture(ticket.job.mixture)
        ticket.looked.set()
        self._news.set()  # the client's next job may be ready
        return status

    def _remove_mixture(self, mixture: Path) -> None:
        """Remove a mixture that was captured for jobs of which none is left."""
        if mixture.parent == self.folders.mixtures and not any(
            ticket.job.mixture == mixture for ticket in self._tickets.values()
        ):
            briefly(lambda: _unlink(mixture), name="removal")

    def _tell(self, ticket: _Ticket, status: Status, *, record: bool = True) -> None:
        if status != ticket.status:
            self._moved = time.monotonic()
        ticket.status = status
        if record:
            self._unrecorded[status.id] = (status, ticket.deaths)
            self._record()
        for listener in list(self._listeners):
            _call(listener, status)

    def _record(self) -> None:
        """Bring the journal up to date, as far as the disk lets it."""
        for id_, (status, deaths) in list(self._unrecorded.items()):
            try:
                self.journal.record(status, deaths=deaths)
            except TweezeError:
                # The job itself need not fail for it: this is tried again, and after a crash the
                # job would be done once more.
                if status.state is not self._complained.get(id_):
                    _LOG.exception("The state of job %s is not in the journal.", id_)
                self._complained[id_] = status.state
                return
            del self._unrecorded[id_]
            self._complained.pop(id_, None)

    async def _keep_house(self) -> None:
        """Tell the journal what it could not take before, and clean up once an hour."""
        cleaned: float | None = None
        cleaning: asyncio.Future[object] | None = None
        try:
            while True:
                try:
                    self._record()
                    if cleaning is not None and cleaning.done():
                        done, cleaning = cleaning, None
                        done.result()
                    # One that a disk holds up is not followed by others.
                    if cleaning is None and (
                        cleaned is None or time.monotonic() - cleaned > _CLEANING
                    ):
                        cleaned = time.monotonic()
                        cleaning = aside(
                            lambda: clean(self.folders, self.journal, self._keeping),
                            name="cleaning",
                        )
                except Exception:
                    _LOG.exception("Housekeeping failed; it is tried again.")
                await asyncio.sleep(_HOUSE)
        finally:
            if cleaning is not None:
                cleaning.cancel()


def _look_at(job: Job, folders: Folders) -> None:
    """Look whether a job can be done (`admit`); may block for as long as a file system does."""
    with contextlib.suppress(OSError):
        folders.make()  # somebody may have removed one
    admit(job, folders)


def _cancelled(job: Job) -> str:
    """Return the sentence that says what was cancelled."""
    what = ", ".join(f"'{query}'" for query in job.queries) or "listening"
    return f"Cancelled: {what} in '{job.title or job.mixture.name}'."


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _call(listener: Listener, status: Status) -> None:
    try:
        listener(status)
    except Exception:
        _LOG.exception("A listener failed at job %s.", status.id)
