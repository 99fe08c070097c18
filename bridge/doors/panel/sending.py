"""Clips and events of the panel's jobs, back into the editor that their recording came from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bridge.doors.panel.answers import Refused
from bridge.requests import Requests
from engine.errors import BadInput, Failure
from engine.host import Resident
from engine.job import Job, Task, check_id, clean_query, new_id
from engine.queue.journal import Insertion
from engine.queue.service import Service
from engine.request import EVENTS_LIMIT, Request
from engine.status import JobState, Status

__all__ = ["Sending"]

_LATEST = 1_000_000.0  # seconds at which an event may end


class Sending:
    """Has the editors' parts take in what the page sends, of open recordings and of the past."""

    def __init__(self, service: Service, requests: Requests, hosts: Mapping[str, Resident]) -> None:
        self._service = service
        self._requests = requests
        self._forgetter = requests.forgetter
        self._hosts = hosts

    async def send(self, id_: str, said: Mapping[str, Any]) -> str:
        """Put a job's clips into the editor that its recording came from; returns a sentence.

        Raises
        ------
        Refused
            They are in, and it is not said that they shall go in again; or the job is not done.
        BadInput, Failure
            It cannot be done; says why.

        """
        entry = self._service.journal.get(check_id(id_))
        if entry is None or entry.job.task is not Task.SEPARATE:
            raise Refused(404, "The panel has no such job: ask again.")
        job, status = entry.job, self._service.status(id_)
        place = job.placement
        title = job.title or job.mixture.name
        editor = said.get("editor") or (place.host if place else "")
        if status.state is not JobState.DONE:
            raise Refused(409, "The job has no clips yet: send them when it is done.")
        if place is None or place.host != editor:
            raise Refused(
                400,
                f"'{title}' did not come from {str(editor)[:20].capitalize() or 'an editor'}"
                ": download the clips, and drag them into the project.",
            )
        if not getattr(self._hosts.get(place.host), "inserts", False):
            raise Refused(
                400,
                f"{place.host.capitalize()} takes in only what its own command sent: "
                "download the clips, and drag them into the project.",
            )
        self._forgetter.on_their_way.append(id_)
        try:
            return await self._insert(job, status, again=said.get("again") is True)
        finally:
            self._forgetter.on_their_way.remove(id_)

    async def _insert(self, job: Job, status: Status, *, again: bool) -> str:
        assert job.placement is not None
        id_ = job.id
        states = [self._service.journal.insertion(id_, n) for n in range(len(status.clips))]
        if not again and all(state is not Insertion.FREE for state in states):
            raise Refused(
                409, "The clips are in the project already: send them again only if you want two."
            )
        fields = [("action", "insert"), ("job", id_), *([("again", "yes")] if again else [])]
        return await self._requested(Request(new_id(), job.placement.host, tuple(fields)))

    async def mark(self, id_: str, said: Mapping[str, Any]) -> str:
        """Mark events of a job's recording in the editor that it came from; returns a sentence.

        Raises
        ------
        BadInput, Failure
            It cannot be done; says why.

        """
        entry = self._service.journal.get(check_id(id_))
        if entry is None or entry.job.task is not Task.SEPARATE:
            raise Refused(404, "The panel has no such job: ask again.")
        name = said.get("name")
        if not isinstance(name, str):
            raise Refused(400, "'name' must be a text: what the events are called.")
        fields = [("action", "events"), ("job", id_), ("name", clean_query(name))]
        fields += [("event", text) for text in _events(said)]
        place = entry.job.placement
        if place is None or not getattr(self._hosts.get(place.host), "marks", ""):
            raise Refused(
                400,
                f"'{entry.job.title or entry.job.mixture.name}' did not come from an editor: save "
                "the events as a file, and import that.",
            )
        return await self._requested(Request(new_id(), place.host, tuple(fields)))

    async def _requested(self, request: Request) -> str:
        ended: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def report(status: Status) -> None:
            if status.state.final and not ended.done():
                ended.set_result(status)

        self._requests.submit(request, report)
        status = await ended
        if status.state is JobState.FAILED:
            raise BadInput(status.message) if status.bad_input else Failure(status.message)
        return status.message or "Done."


def _events(said: Mapping[str, Any]) -> list[str]:
    """Return the events that a page names, as the fields of a request have them."""
    found = said.get("events")
    if not isinstance(found, list) or not 0 < len(found) <= EVENTS_LIMIT:
        raise Refused(
            400, f"'events' must be a list of 1 to {EVENTS_LIMIT:,} pairs of seconds, [start, end]."
        )
    texts = []
    for one in found:
        if (
            not isinstance(one, list)
            or len(one) != 2
            or not all(type(value) in (int, float) for value in one)
            or not 0 <= one[0] < one[1] <= _LATEST
        ):
            raise Refused(
                400,
                "Each of 'events' must be [start, end] in seconds from the recording's start, the "
                "start before the end.",
            )
        texts.append(f"{one[0]:.6f}-{one[1]:.6f}")
    return texts
