"""Forgets jobs at the user's word: their clips, kept masks, and what the journal says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.errors import BadInput, BadJob
from engine.host import Report, Resident
from engine.job import check_id
from engine.queue.forgetting import forget, hindrance, is_in_a_project
from engine.queue.history import past_of
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status

__all__ = ["FORGET", "Forgetter"]

FORGET = "forget"
"""The action of such a request; its `job` names the job."""


class Forgetter:
    """Forgets jobs, and says so to whoever listens. Lives in the engine's event loop.

    Attributes
    ----------
    on_their_way
        Jobs whose clips somebody is putting into an editor: these stay.

    """

    def __init__(self, service: Service, hosts: Mapping[str, Resident]) -> None:
        self._service = service
        self._hosts = hosts
        self._listeners: list[Callable[[str], None]] = []
        self.on_their_way: list[str] = []

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the id of each job that was forgotten; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def handle(self, request: Request, report: Report) -> None:
        """Carry out a request to forget a job.

        Raises
        ------
        BadInput
            There is no such job, or it is needed.
        Failure
            The disk or the journal refuses.

        """
        id_ = check_id(request.one("job"))
        if said := self.hindrance(id_):
            raise BadInput(said)
        await self.forget(id_)
        report(Status(request.id, JobState.DONE, progress=1.0, message=f"Job {id_} is forgotten."))

    def hindrance(self, id_: str) -> str:
        """Return why a job cannot be forgotten now, as a sentence; '' where it can.

        Raises
        ------
        BadJob
            There is no such job.

        """
        entry = self._service.journal.get(id_)
        if entry is None:
            raise BadJob(f"There is no job {id_}: see 'tweeze history' for those there are.")
        if id_ in self.on_their_way:
            return f"The clips of job {id_} go into a project at this moment: try again when done."
        place = entry.job.placement
        host = self._hosts.get(place.host) if place is not None else None
        if (
            place is not None
            and entry.job.client == place.host
            and getattr(host, "collects", False)
            and past_of(entry) is not None
        ):
            return (
                f"The clips of job {id_} wait for {place.host.capitalize()}: run 'Tweeze - "
                "collect' there first."
            )
        return hindrance(self._service, id_)

    def is_needed(self, id_: str) -> bool:
        """Return whether a job must not be forgotten unasked.

        Raises
        ------
        BadJob
            There is no such job.

        """
        return bool(self.hindrance(id_)) or is_in_a_project(self._service, id_)

    async def forget(self, id_: str) -> None:
        """Remove what there is of a job that nothing hinders.

        Raises
        ------
        Failure
            The disk or the journal refuses.

        """
        await forget(self._service, id_)
        for listener in list(self._listeners):
            listener(id_)
