"""Runs jobs one at a time and publishes their status.

Each step is written to the journal before it is published, so that a job outlives this process.
The worker may die or hang at any moment; then another one goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path

from engine.errors import BadJob, Failure
from engine.folders import Folders
from engine.job import Job
from engine.models.router import resolve
from engine.presets import called, in_job
from engine.queue import worker_start
from engine.queue.admission import Admissions
from engine.queue.cleaning import Keeping, clean
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.outbox import Outbox
from engine.queue.preset_file import PresetFile
from engine.queue.publishing import Publisher, Subscriber
from engine.queue.running import Runner
from engine.queue.tickets import Ticket, Tickets
from engine.queue.worker_handle import WorkerMain
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside, briefly, within

__all__ = ["Activity", "Service"]

_HOUSE = 5.0  # seconds between looks whether the journal can take what it could not
_CLEANING = 3600.0  # seconds between two clean-ups
_LOG = logging.getLogger("tweeze.service")


class Activity(str, Enum):
    """What the service is doing."""

    IDLE = "idle"
    LOOKING = "looking"  # at the mixtures of jobs, before they may run
    LOADING = "loading"
    RUNNING = "running"


class Service:
    """The queue: takes jobs, runs them and publishes their status; lives in one event loop.

    `start` it, then use it from the loop's own thread. `worker_main` is what the worker process
    runs, and `clock` tells the seconds by which it waits and judges ages; tests put their own
    there.

    Attributes
    ----------
    outbox
        Through which doors and hosts write to the journal.

    """

    def __init__(
        self,
        folders: Folders,
        journal: Journal,
        *,
        limits: Limits | None = None,
        keeping: Keeping | None = None,
        worker_main: WorkerMain = worker_start.main,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders = folders
        self.journal = journal
        self.outbox = Outbox(journal)
        self._limits = limits or Limits()
        self._keeping = keeping or Keeping()
        self._clock = clock
        self._moved = clock()  # when a job last came on
        self._tickets = Tickets()
        self._running: Ticket | None = None
        self._publisher = Publisher(clock)
        self._runner = Runner(
            folders,
            self._limits,
            worker_main,
            owned=journal.owned,
            update=self._update,
            end=self._end,
            clock=clock,
        )
        self._news = asyncio.Event()
        self._admissions = Admissions(
            self._tickets,
            folders,
            seconds=self._limits.admission,
            admitted=self._news.set,
            refuse=self._refuse,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Resume the jobs that an earlier process left, and start."""
        for entry in self.journal.unfinished():
            ticket = Ticket.of(entry)
            self._tickets.add(ticket)
            if entry.status.state is JobState.RUNNING or entry.status.seconds:
                ticket.admitted.set()  # it was begun, and has room for its clips
            if entry.status.state is JobState.RUNNING:
                _LOG.info("Job %s was running when the engine ended.", entry.job.id)
                self._update(ticket, replace(entry.status, state=JobState.QUEUED))
            self._admissions.begin(entry.job.client)
        self._tasks = [
            asyncio.create_task(self._work(), name="tweeze-service"),
            asyncio.create_task(self._keep_house(), name="tweeze-house"),
        ]

    async def stop(self) -> None:
        """End the worker; the running job goes back to the queue, for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._admissions.stop()
        if self._running is not None and not self._running.status.state.final:
            self._runner.requeue(self._running)
        await self._runner.dismiss()

    @property
    def activity(self) -> Activity:
        """Current activity; idle only without jobs."""
        if self._running is not None:
            return Activity.LOADING if self._runner.loading else Activity.RUNNING
        return Activity.LOOKING if self._tickets else Activity.IDLE

    @property
    def stalled(self) -> float:
        """Seconds since any job last made progress; 0 without jobs."""
        return self._clock() - max(self._moved, self._runner.moved) if self._tickets else 0.0

    @property
    def queue_length(self) -> int:
        """Number of waiting jobs, without the running one."""
        return sum(ticket is not self._running for ticket in self._tickets)

    @property
    def running(self) -> str:
        """Id of the running job, or ''."""
        return self._running.job.id if self._running else ""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the loaded models, the one used last at the end."""
        return tuple(self._runner.models)

    @property
    def worker_pid(self) -> int:
        """Process id of the worker, 0 where there is none."""
        return self._runner.pid

    async def submit(self, job: Job, *, attendant: str = "") -> Status:
        """Accept a job and return its status; does not look at its mixture.

        A query that stands for a preset becomes what that holds.
        A job that was submitted before, with the same id and content, does not run twice. Its
        status, or `admitted`, says whether it can run. `attendant` is the editor that handles its
        result (`Journal.attended_by`).

        Raises
        ------
        BadJob
            Another job has that id.
        BadInput
            The user's table of routes is damaged, or there is no such preset.
        Failure
            The journal refuses; the job was not accepted.

        """
        if called(job.sounds):
            plain = partial(in_job, job, PresetFile(self.folders).get)
            job = await self._looked_up(plain, job.id, self.folders.presets)
        known = self.journal.get(job.id)
        if known is None:
            job = await self._resolved(job)
        entry = self.journal.accept(job, attendant=attendant)
        if known is not None:
            return self.status(job.id)
        if not self._tickets:
            self._moved = self._clock()
        ticket = Ticket.of(entry)
        self._tickets.add(ticket)
        self._publisher.publish(ticket.status)
        self._admissions.begin(job.client)
        return ticket.status

    async def _resolved(self, job: Job) -> Job:
        """Return the job with its models named; in a thread, since that reads files.

        A job that adjusts another takes that one's.
        """
        base = self.journal.get(job.base) if job.base else None
        if job.base and base is None:
            raise BadJob(
                f"The engine knows of no job {job.base}: separate the recording once more."
            )
        base_job = base.job if base is not None else None
        route = partial(resolve, job, self.folders, base_job)
        return await self._looked_up(route, job.id, self.folders.models)

    async def _looked_up(self, look: Callable[[], Job], id_: str, where: Path) -> Job:
        """Return what `look` makes of a job in a thread; Failure where a disk does not answer."""
        looking = aside(look, name=f"routing-{id_}")
        done, _ = await asyncio.wait({looking}, timeout=self._limits.admission)
        if not done:
            looking.cancel()
            raise Failure(
                f"{where} could not be looked at within {self._limits.admission:.0f} s: the disk "
                "does not answer."
            )
        return looking.result()

    async def admitted(self, id: str) -> Status:  # noqa: A002
        """Wait until a job was checked, and return its status: failed if it cannot run.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        if ticket is not None:
            await ticket.admitted.wait()
        return self.status(id)

    def cancel(self, id: str) -> Status:  # noqa: A002
        """Cancel a job: at once if it waits, at the next segment if it runs.

        A worker that is loading a model reads no messages for long, so it is killed; one that does
        not leave the job is killed after `Limits.obedience`.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        if ticket is None:
            return self.status(id)
        if ticket is not self._running:
            return self._end(ticket, JobState.CANCELLED)
        if ticket.cancelled is None:  # once: a worker that stands still reads nothing
            ticket.cancelled = self._clock()
            self._runner.cancel(ticket)
        return ticket.status

    def status(self, id: str) -> Status:  # noqa: A002
        """Return the status of a job; BadJob if there is none of that id."""
        if (ticket := self._tickets.get(id)) is not None:
            return ticket.status
        if (unrecorded := self.outbox.status(id)) is not None:
            return unrecorded
        entry = self.journal.get(id)
        if entry is None:
            raise BadJob(f"There is no job {id}: see 'tweeze status' for those there are.")
        return entry.status

    def is_admitted(self, id: str) -> bool:  # noqa: A002
        """Return whether a job was checked and may run, or has ended.

        Raises
        ------
        BadJob
            There is no such job.

        """
        ticket = self._tickets.get(id)
        return self.status(id).state.final if ticket is None else ticket.admitted.is_set()

    def subscribe(self, subscriber: Subscriber, *, every: float = 0.0) -> Callable[[], None]:
        """Call `subscriber` with new statuses of all jobs: see `Publisher.subscribe`."""
        return self._publisher.subscribe(subscriber, every=every)

    async def finished(self, id: str) -> Status:  # noqa: A002
        """Wait until a job has ended, and return its status."""
        ended = asyncio.Event()
        unsubscribe = self.subscribe(lambda status: ended.set() if status.id == id else None)
        try:
            while not (status := self.status(id)).state.final:
                await ended.wait()
                ended.clear()
            return status
        finally:
            unsubscribe()

    async def _work(self) -> None:
        while True:
            ticket = self._tickets.next_to_run()
            if ticket is None:
                await self._wait_for_news()
                continue
            self._running = ticket
            self._tickets.serve(ticket.job.client)
            try:
                await self._runner.run(ticket)
            except Exception:
                _LOG.exception("Job %s failed inside the engine.", ticket.job.id)
                await self._runner.dismiss()
                self._end(
                    ticket,
                    JobState.FAILED,
                    f"Unexpected error: see 'tweeze log' ({self.folders.log}).",
                )
            self._running = None

    async def _wait_for_news(self) -> None:
        """Wait for a job; after `Limits.idle` seconds without one, end the worker."""
        self._news.clear()
        self._tickets.forget_turns()
        idle_since = self._clock()
        while not self._news.is_set():
            wait: float | None = None
            if self._runner.pid:
                wait = min(1.0, idle_since + self._limits.idle - self._clock())
                if wait <= 0:
                    _LOG.info("Nothing to do for %.0f s: the worker goes.", self._limits.idle)
                    await self._runner.dismiss()
                    continue
                await self._runner.dismiss_dead()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(wait, self._news.wait())

    def _end(
        self, ticket: Ticket, state: JobState, message: str = "", *, bad_input: bool = False
    ) -> Status:
        if state is JobState.CANCELLED:
            message = _cancelled(ticket.job)
        status = replace(
            ticket.status, state=state, message=one_line(message), bad_input=bad_input, draft=()
        )
        self._tickets.remove(ticket)
        if ticket is self._running:
            self._running = None
        if ticket.looking is not None:
            ticket.looking.cancel()
        if state is not JobState.DONE:
            folder = self.folders.clips / ticket.job.id
            briefly(lambda: shutil.rmtree(folder, ignore_errors=True), name="removal")
        _LOG.info("Job %s: %s. %s", status.id, state.value, status.message)
        self._update(ticket, status)
        mixture = ticket.job.mixture
        if mixture.parent == self.folders.mixtures and not self._tickets.need(mixture):
            briefly(lambda: _unlink(mixture), name="removal")  # it was captured for such jobs
        ticket.admitted.set()
        self._news.set()  # the client's next job may be ready
        return status

    def _refuse(self, ticket: Ticket, message: str, *, bad_input: bool = False) -> None:
        self._end(ticket, JobState.FAILED, message, bad_input=bad_input)

    def _update(self, ticket: Ticket, status: Status, *, record: bool = True) -> None:
        """Give a job a new status, and publish it."""
        if status != ticket.status:
            self._moved = self._clock()
        ticket.status = status
        if record:
            self.outbox.record(status, deaths=ticket.deaths)
        self._publisher.publish(status)

    async def _keep_house(self) -> None:
        """Flush the outbox every few seconds, and clean up once an hour."""
        cleaned: float | None = None
        cleaning: asyncio.Future[object] | None = None
        try:
            while True:
                try:
                    self.outbox.flush()
                    if cleaning is not None and cleaning.done():
                        done, cleaning = cleaning, None
                        done.result()
                    # One that a disk holds up is not followed by others.
                    if cleaning is None and (
                        cleaned is None or self._clock() - cleaned > _CLEANING
                    ):
                        cleaned = self._clock()
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


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _cancelled(job: Job) -> str:
    """Return the sentence that says what was cancelled."""
    what = ", ".join(f"'{query}'" for query in job.queries) or "listening"
    return f"Cancelled: {what} in '{job.title or job.mixture.name}'."
