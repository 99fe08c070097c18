"""Puts clips into REAPER that its script did not wait for: those of the panel, adjusted ones.

The script puts them where it noted that their mixture came from (`Placement.note`), as one undo
step. The journal says of each clip whether it is in, so that none goes in twice unasked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from engine.errors import BadInput, HostError, TweezeError
from engine.host import Notify
from engine.job import check_id, new_id
from engine.queue.journal import Entry, Insertion
from engine.queue.service import Service
from engine.request import Request, events
from engine.status import JobState, Status
from engine.waiting import aside, within

__all__ = ["NAME", "Inserter", "NotTaken"]

NAME = "reaper"
"""What requests, placements and the journal call this editor."""
_LOOK = 30.0  # seconds between looks that no end of a job asked for
_ENDS = ("done", "partly")
_LOG = logging.getLogger("tweeze.reaper")

Ask = Callable[[Request, Sequence[str]], Coroutine[Any, Any, tuple[str, list[str]]]]
"""Has the script carry out a request until one of the states; returns its words, and its jobs."""


class NotTaken(HostError):  # noqa: N818
    """The script never took the request, so nothing came of it."""


class Inserter:
    """Inserts the clips of jobs whose place the script noted. Lives in the engine's event loop."""

    def __init__(self, service: Service, ask: Ask, notify: Notify) -> None:
        self._service = service
        self._ask = ask
        self._notify = notify
        self._ended = asyncio.Event()
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Attend to the end of each job that is to go into REAPER, until cancelled."""
        unsubscribe = self._service.subscribe(self._hear)
        try:
            while True:
                self._ended.clear()
                if await aside(self._service.outbox.flush, name="reaper-flush"):
                    for entry in self._service.journal.attended_by(NAME):
                        if entry.status.state.final:
                            await self._finish(entry)
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(_LOOK, self._ended.wait())
        finally:
            unsubscribe()

    def _hear(self, status: Status) -> None:
        if status.state.final:
            self._ended.set()

    async def _finish(self, entry: Entry) -> None:
        """Insert a job's clips, or say why they are not in; then it needs no more attention."""
        job, said = entry.job, ""
        if entry.status.state is JobState.FAILED:
            said = entry.status.message
        elif entry.status.state is JobState.DONE:
            asked = ", ".join(repr(query) for query in job.queries)
            try:
                said = await self.insert(job.id)
            except TweezeError as error:
                said = f"{asked} is ready, but not in the project: {error}"
        self._service.outbox.attend(job.id)
        if said:
            await self._notify(said)

    async def insert(self, id_: str, *, again: bool = False) -> str:
        """Insert the clips of a job that is done; returns a sentence.

        `again` inserts clips that are in, or may be.

        Raises
        ------
        BadInput
            There is no such job, its clips are in, or they have no place.
        HostError
            REAPER does not answer, or another project is in front.

        """
        async with self._busy:
            entry = self._entry(id_)
            journal = self._service.journal
            numbers = range(len(entry.status.clips))
            claimed = [n for n in numbers if journal.claim(id_, n, again=again)]
            if len(claimed) < len(numbers):
                self._settle(id_, claimed, Insertion.FREE)
                raise BadInput(
                    f"The clips of job {id_} are in already, or may be: look, and run 'tweeze "
                    f"insert {id_} --host {NAME} --again' to insert them once more."
                )
            place = entry.job.placement
            assert place is not None
            fields = [("action", "place"), ("job", id_), ("note", place.note)]
            fields += [("query", query) for query in entry.job.queries]
            fields.append(("mute", "yes" if place.mute else "no"))
            try:
                said, _ = await self._ask(Request(new_id(), NAME, tuple(fields)), _ENDS)
            except (BadInput, NotTaken):  # after anything else, the clips may be in
                self._settle(id_, claimed, Insertion.FREE)
                raise
            self._settle(id_, claimed, Insertion.INSERTED)
        count = len(numbers)
        return f"{count} clip{'' if count == 1 else 's'} inserted. {said}".strip()

    async def mark(self, request: Request) -> str:
        """Put regions where events of a job's recording lie, as a request names them.

        Raises
        ------
        BadInput
            The job did not come from REAPER, or an event is none.
        HostError
            REAPER does not answer, or another project is in front.

        """
        entry = self._service.journal.get(check_id(request.one("job")))
        if entry is None or entry.job.placement is None or entry.job.placement.host != NAME:
            raise BadInput(f"There is no job {request.one('job')[:64]!r} from REAPER.")
        place, spans = entry.job.placement, events(request)
        fields = [
            *(("action", "regions"), ("job", entry.job.id), ("note", place.note)),
            *(("project", place.project), ("title", entry.job.title)),
            ("position", f"{place.start / place.rate:.9f}"),
            *(("name", request.one("name")), ("query", request.one("name"))),
            *(("event", f"{one.start:.6f}-{one.stop:.6f}") for one in spans),
        ]
        async with self._busy:
            await self._ask(Request(new_id(), NAME, tuple(fields)), _ENDS)
        count = len(spans)
        return f"{count} region{'' if count == 1 else 's'} {request.one('name')!r}."

    def _settle(self, id_: str, clips: Sequence[int], outcome: Insertion) -> None:
        for number in clips:
            self._service.outbox.settle(id_, number, outcome)

    def _entry(self, id_: str) -> Entry:
        entry = self._service.journal.get(id_)
        if entry is None or entry.job.placement is None or entry.job.placement.host != NAME:
            raise BadInput(f"There is no job {id_[:64]!r} from REAPER.")
        if entry.status.state is not JobState.DONE:
            raise BadInput(f"Job {id_} has no clips: it is {entry.status.state.value}.")
        if entry.job.client == NAME:
            raise BadInput(
                f'The clips of job {id_} go in from REAPER itself: run "Tweeze - collect" there.'
            )
        if not entry.job.placement.note:
            raise BadInput(
                f"REAPER has no note of where {entry.job.title!r} came from: install its scripts "
                "anew ('tweeze install reaper'), or drag the clips into the project."
            )
        return entry
