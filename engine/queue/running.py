"""Runs one job at a time in a worker process, and replaces a worker that dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from engine.errors import Failure
from engine.folders import Folders
from engine.queue.limits import Limits
from engine.queue.messages import (
    Cancel,
    Drafted,
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
from engine.queue.tickets import Ticket
from engine.queue.worker_handle import WorkerHandle, WorkerMain
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import within

__all__ = ["End", "Runner", "Update"]

_FOREIGN = 0.2  # seconds between looks whether the folders are this engine's again
_LOG = logging.getLogger("tweeze.service")


class Update(Protocol):
    """Gives a job a new status."""

    def __call__(self, ticket: Ticket, status: Status, *, record: bool = True) -> None:
        """Publish the status; with `record`, write it to the journal as well."""


class End(Protocol):
    """Gives a job its last status."""

    def __call__(
        self, ticket: Ticket, state: JobState, message: str = "", *, bad_input: bool = False
    ) -> object:
        """End the job in a final state."""


class Runner:
    """Owns the worker process: starts it with the first job, and ends it with `dismiss`.

    `owned` returns whether the folders still belong to this engine; without them no worker starts.
    `update` and `end` are called with the progress and the outcome of a job.

    Attributes
    ----------
    loading
        Whether the worker is loading a model.
    models
        Names of the loaded models, the one used last at the end.
    moved
        When the worker last began or finished loading a model (seconds of `clock`).

    """

    def __init__(
        self,
        folders: Folders,
        limits: Limits,
        worker_main: WorkerMain,
        *,
        owned: Callable[[], bool],
        update: Update,
        end: End,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._limits = limits
        self._worker_main = worker_main
        self._owned = owned
        self._update = update
        self._end = end
        self._clock = clock
        self._worker: WorkerHandle | None = None
        self.loading = False
        self.models: list[str] = []
        self.moved = clock()

    @property
    def pid(self) -> int:
        """Process id of the worker, 0 where there is none."""
        return self._worker.pid if self._worker else 0

    async def run(self, ticket: Ticket) -> None:
        """Run one job, with as many workers as it takes, until it has ended."""
        while not ticket.status.state.final:
            if ticket.cancelled is not None:
                self._end(ticket, JobState.CANCELLED)
                return
            await self.dismiss_dead()
            while not self._owned():
                await asyncio.sleep(_FOREIGN)  # a worker would make the folders again
            self._update(ticket, replace(ticket.status, state=JobState.RUNNING))
            try:
                worker = self._worker = self._worker or WorkerHandle(
                    self._worker_main, self._folders, clock=self._clock
                )
            except Failure as error:
                self._end(ticket, JobState.FAILED, str(error))
                return
            worker.send(Work(ticket.job, self._folders.clips / ticket.job.id, ticket.deaths))
            if ticket.cancelled is not None:
                worker.send(Cancel(ticket.job.id))
            while not ticket.status.state.final:
                message = await self._next_message(worker, ticket)
                if isinstance(message, Gone):
                    await self.dismiss()
                    if ticket.cancelled is None:
                        self._count_death(ticket)
                    break
                self._follow(ticket, message)

    def cancel(self, ticket: Ticket) -> None:
        """Have the worker leave the running job at its next segment.

        A worker that is loading a model reads no messages for long, so it is killed.
        """
        if self._worker is None:
            return
        if self.loading or not self._worker.greeted:
            self._worker.kill()
        else:
            self._worker.send(Cancel(ticket.job.id))

    async def dismiss(self) -> None:
        """End the worker, if there is one."""
        worker, self._worker = self._worker, None
        self.models = []
        self.loading = False
        if worker is not None:
            await worker.close()

    async def dismiss_dead(self) -> None:
        """End a worker that died or hangs while it had nothing to do."""
        worker = self._worker
        if worker is not None and (
            not worker.inbox.empty() or worker.silence > self._limits.silence
        ):
            await self.dismiss()

    def requeue(self, ticket: Ticket) -> None:
        """Put the running job back into the queue, with the time that went into it."""
        if ticket.begun is not None:
            ticket.spent += self._clock() - ticket.begun
            ticket.begun = None
        self._update(ticket, replace(ticket.status, state=JobState.QUEUED, seconds=ticket.spent))

    async def _next_message(self, worker: WorkerHandle, ticket: Ticket) -> FromWorker:
        """Return the worker's next message; `Gone` where it says nothing or does not obey."""
        tick = max(0.05, min(1.0, self._limits.silence / 4))
        while True:
            asked = self._clock()
            if ticket.cancelled is not None and asked - ticket.cancelled > self._limits.obedience:
                _LOG.warning("Worker %d does not leave a cancelled job: it is ended.", worker.pid)
                return Gone()
            with contextlib.suppress(asyncio.TimeoutError):
                return await within(tick, worker.inbox.get())
            if self._clock() - asked > 3 * tick:
                worker.excuse()  # this process was held up as well: a suspended machine, perhaps
            elif worker.silence > self._patience(worker):
                _LOG.warning("Worker %d is silent: it is replaced.", worker.pid)
                return Gone()

    def _patience(self, worker: WorkerHandle) -> float:
        # Starting a process and loading large libraries from a cold disk, on a machine that has
        # other things to do, can hold up every thread of the worker.
        return self._limits.silence * (4 if self.loading or not worker.greeted else 1)

    def _follow(self, ticket: Ticket, message: FromWorker) -> None:
        """Bring the job's status up to date."""
        status = ticket.status
        if isinstance(message, Loading | Loaded):
            self.moved = self._clock()
        self.loading = isinstance(message, Loading)
        if isinstance(message, Loaded):
            self.models = list(message.models)
            loading = status.loading + message.seconds
            self._update(ticket, replace(status, loading=loading), record=False)
            ticket.begun = self._clock()
        elif isinstance(message, Progress) and message.id == status.id:
            share = max(status.progress, min(1.0, message.share))
            self._update(ticket, replace(status, progress=share), record=False)
        elif isinstance(message, Drafted) and message.id == status.id:
            self._update(ticket, replace(status, draft=message.clips), record=False)
        elif isinstance(message, Finished) and message.id == status.id:
            self._finish(ticket, message)
        elif isinstance(message, Stopped) and message.id == status.id:
            self._end(ticket, JobState.CANCELLED)
        elif isinstance(message, Failed) and message.id == status.id:
            if message.details:
                _LOG.error("Job %s failed in the worker:\n%s", status.id, message.details)
            self._end(ticket, JobState.FAILED, message.message, bad_input=message.bad_input)

    def _finish(self, ticket: Ticket, message: Finished) -> None:
        if ticket.cancelled is not None:
            self._end(ticket, JobState.CANCELLED)
            return
        ticket.status = replace(
            ticket.status,
            progress=1.0,
            clips=message.clips,
            draft=(),
            seconds=ticket.spent + message.seconds,
            presence=message.presence,
            notes=tuple(one_line(note) for note in message.notes),
            heard=message.heard,
            certainty=message.certainty,
            answers=message.answers,
        )
        self._end(ticket, JobState.DONE)

    def _count_death(self, ticket: Ticket) -> None:
        """Requeue a job whose worker died, or fail it after too many."""
        ticket.deaths += 1
        if ticket.deaths < self._limits.deaths:
            self.requeue(ticket)
            return
        self._end(
            ticket,
            JobState.FAILED,
            f"The process that separates ended {ticket.deaths} times while it worked on "
            f"'{ticket.job.mixture.name}', perhaps for lack of memory: close other programs, "
            "or take a shorter selection.",
        )
