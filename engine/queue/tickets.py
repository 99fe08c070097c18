"""The unfinished jobs, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.job import Job
from engine.queue.journal import Entry
from engine.status import Status

__all__ = ["Ticket", "Tickets"]


@dataclass(eq=False)
class Ticket:
    """An unfinished job.

    Attributes
    ----------
    number
        Its place in the order of acceptance.
    deaths
        Workers that ended while they ran it.
    admitted
        Set when it may run, or has ended.
    looking
        The running check of its mixture, which decides on that.
    cancelled
        When the user cancelled it, or None (seconds of the service's clock).
    spent
        Seconds of work by workers that did not finish it.
    begun
        When the present worker began to separate (seconds of the service's clock).

    """

    number: int
    job: Job
    status: Status
    deaths: int
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    looking: asyncio.Future[None] | None = None
    cancelled: float | None = None
    spent: float = 0.0
    begun: float | None = None

    @classmethod
    def of(cls, entry: Entry) -> Ticket:
        """Return the ticket of a recorded job."""
        return cls(entry.number, entry.job, entry.status, entry.deaths, spent=entry.status.seconds)


class Tickets:
    """Unfinished jobs. Clients take turns; each client's jobs run in the order of acceptance."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._served: dict[str, int] = {}  # by client, its last turn
        self._turn = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._tickets.values()))

    def get(self, id: str) -> Ticket | None:  # noqa: A002
        """Return a job's ticket, or None if it has ended."""
        return self._tickets.get(id)

    def add(self, ticket: Ticket) -> None:
        """Add a job."""
        self._tickets[ticket.job.id] = ticket

    def remove(self, ticket: Ticket) -> None:
        """Remove a job that has ended."""
        self._tickets.pop(ticket.job.id, None)

    def next_to_admit(self, client: str) -> Ticket | None:
        """Return the client's first job whose mixture is still unchecked."""
        waiting = (t for t in self if t.job.client == client and not t.admitted.is_set())
        return min(waiting, key=lambda ticket: ticket.number, default=None)

    def next_to_run(self) -> Ticket | None:
        """Return the job whose turn it is, or None if none may run."""
        first: dict[str, Ticket] = {}
        for ticket in sorted(self, key=lambda ticket: ticket.number):
            first.setdefault(ticket.job.client, ticket)
        ready = (ticket for ticket in first.values() if ticket.admitted.is_set())
        return min(ready, key=lambda ticket: self._served.get(ticket.job.client, 0), default=None)

    def serve(self, client: str) -> None:
        """Record a client's turn: the others come before its next one."""
        self._turn += 1
        self._served[client] = self._turn

    def forget_turns(self) -> None:
        """Forget all turns, when no client waits."""
        self._served.clear()

    def need(self, mixture: Path) -> bool:
        """Return whether any unfinished job uses that mixture."""
        return any(ticket.job.mixture == mixture for ticket in self)
