from __future__ import annotations

from pathlib import Path

from engine.job import Job
from engine.queue.tickets import Ticket, Tickets
from engine.status import JobState, Status


def line(clients: str) -> Tickets:
    """One job for each letter, of the client with that name; none is admitted yet."""
    tickets = Tickets()
    for number, client in enumerate(clients):
        job = Job(f"{client}{number}", Path(f"/{client}.wav"), ("dog",), client=client)
        tickets.add(Ticket(number, job, Status(job.id, JobState.QUEUED), 0))
    return tickets


def run(tickets: Tickets) -> list[str]:
    """Serve what may run until nothing may, and return the ids in that order."""
    order = []
    while (ticket := tickets.next_to_run()) is not None:
        tickets.serve(ticket.job.client)
        tickets.remove(ticket)
        order.append(ticket.job.id)
    return order


def test_clients_take_turns_and_their_jobs_go_in_order() -> None:
    tickets = line("aaabbc")
    for ticket in tickets:
        ticket.admitted.set()
    assert run(tickets) == ["a0", "b3", "c5", "a1", "b4", "a2"]
    assert len(tickets) == 0


def test_a_job_that_waits_for_its_admission_holds_up_its_own_client_only() -> None:
    tickets = line("aabb")
    for id_ in ("a1", "b2"):
        ticket = tickets.get(id_)
        assert ticket is not None
        ticket.admitted.set()
    first = tickets.next_to_admit("a")
    assert first is not None
    assert first.job.id == "a0"
    assert run(tickets) == ["b2"]
    first.admitted.set()
    assert run(tickets) == ["a0", "a1"]
    assert tickets.next_to_admit("a") is None


def test_a_mixture_is_needed_until_its_last_job_is_gone() -> None:
    tickets = line("aa")
    for ticket in tickets:
        assert tickets.need(Path("/a.wav"))
        tickets.remove(ticket)
    assert not tickets.need(Path("/a.wav"))
