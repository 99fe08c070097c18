"""Adjusts a job that is done: other options, other sounds, and its masks where they were kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace

from engine.errors import BadInput, BadJob, Failure
from engine.host import Report, Resident
from engine.job import Job, Task, check_id, clean_query, new_id
from engine.option_types import read, table
from engine.options import Options
from engine.queue.journal import Entry
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status

__all__ = ["ADJUST", "LAST", "adjust", "adjusted", "asked_before"]

ADJUST = "adjust"
"""The action of such a request; its `job` names the job."""
LAST = "last"
"""What stands for the id of the job with clips that was sent last."""
_FIXED = ("model", "draft")
_KNOWN = {"action", "job", "query", "not", "client", "into"}
# Values of `into`: clips go where those of the job went, or do so if that is possible.
_EDITOR, _EITHER = "editor", "either"


async def adjust(
    service: Service, hosts: Mapping[str, Resident], request: Request, report: Report
) -> None:
    """Carry out a request to adjust a job; its statuses are those of the job that comes of it.

    Raises
    ------
    BadInput
        The request cannot be carried out as it is.
    Failure
        The journal refuses.

    """
    entry = asked_before(service, request.one("job", LAST), "to adjust")
    job = adjusted(entry, request)
    attendant = ""
    place, into = entry.job.placement, request.one("into")
    inserts = place is not None and getattr(hosts.get(place.host), "inserts", False)
    if place is not None and inserts and into in (_EDITOR, _EITHER):
        job, attendant = replace(job, placement=place), place.host
    elif into == _EDITOR and place is None:
        raise BadInput(f"Job {entry.job.id} did not come from an editor: name a folder with --out.")
    elif place is not None and into == _EDITOR:
        raise BadInput(
            f"{place.host.capitalize()} takes in only what its own command sent: name a folder "
            "with --out, and drag the clips into the project."
        )
    unsubscribe = service.subscribe(lambda status: report(status) if status.id == job.id else None)
    try:
        report(await service.submit(job, attendant=attendant))
        ended = await service.finished(job.id)
    except asyncio.CancelledError:
        with contextlib.suppress(BadJob):  # it was not accepted yet
            service.cancel(job.id)
        raise
    finally:
        unsubscribe()
    if ended.state is JobState.FAILED:
        raise BadInput(ended.message) if ended.bad_input else Failure(ended.message)
    report(ended)


def adjusted(entry: Entry, request: Request) -> Job:
    """Return the job that a request makes of one that is done.

    What the request names replaces what the job had: options one by one, queries and what is not
    wanted each as a whole. An empty value takes away what was there.

    Raises
    ------
    BadInput
        The job cannot be adjusted, or the request asks for what cannot be.

    """
    old = entry.job
    if old.task is not Task.SEPARATE:
        raise BadInput(f"Job {old.id} only listened: there is nothing to adjust.")
    if entry.status.state is not JobState.DONE:
        raise BadInput(_unfinished(entry.status))
    named = {option.name for option in table(Options)}
    for name, _ in request.fields:
        if name in _FIXED:
            raise BadInput(f"'{name}' cannot be adjusted: separate the recording anew.")
        if name not in named | _KNOWN:
            raise BadInput(f"There is no option {name[:40]!r} to adjust.")
    given = read(Options, dict(reversed(request.fields)).get, "request")
    options = replace(old.options, **{"draft": False, **given})
    queries = [clean_query(text) for text in request.all("query")] or old.queries
    nots: tuple[str, ...] | list[str] = old.nots
    if any(name == "not" for name, _ in request.fields):
        nots = [clean_query(text) for text in request.all("not") if text.strip()]
    return Job(
        new_id(),
        old.mixture,
        tuple(dict.fromkeys(queries)),
        options,
        old.title,
        client=request.one("client") or ADJUST,
        nots=tuple(dict.fromkeys(nots)),
        base=old.id,
    )


def asked_before(service: Service, id_: str, what_for: str) -> Entry:
    """Return a job that was asked for before; BadJob if the journal has none `what_for`."""
    entry = _last(service) if id_ == LAST else service.journal.get(check_id(id_))
    if entry is None:
        raise BadJob(f"The engine knows of no job '{id_}' {what_for}: see 'tweeze status'.")
    return entry


def _last(service: Service) -> Entry | None:
    """Return the job with clips that was sent last."""
    return next(
        (
            entry
            for entry in service.journal.recent()
            if entry.job.task is Task.SEPARATE and entry.status.state is JobState.DONE
        ),
        None,
    )


def _unfinished(status: Status) -> str:
    if status.state.final:
        return f"Job {status.id} has no clips ({status.state.value}): separate the recording anew."
    return f"Job {status.id} is not done yet ({status.state.value}): adjust it when it is."
