"""`tweeze history` and `forget`: what was asked for before, and what is kept of it."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from bridge.client import Client
from bridge.patience import waiting
from bridge.tables import table
from engine.display import shown
from engine.errors import BadInput, Cancelled, Failure
from engine.folders import Folders
from engine.job import check_id, new_id
from engine.queue.history import Past, past, records
from engine.request import Request
from engine.status import JobState

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(history)
    app.command()(forget)


def history(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]...", help="Sounds, a file's name, or a day (2026-11-29)."),
    ] = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="How many jobs.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the jobs whose clips Tweeze still keeps, the latest first.

    Those of 'tweeze separate' lie in your own folders, and are not among them. All words must be
    found in a job's sounds, title, file or day. 'tweeze adjust JOB' goes on from a job, 'tweeze
    insert JOB' puts its clips into the editor, 'tweeze forget JOB' removes them.
    """
    folders = Folders.of_user()
    with records(folders) as kept:
        found, more = past(kept, folders, " ".join(words or ()), limit=limit)
    if as_json:
        print(json.dumps([_facts(one) for one in found]))
        return
    table(
        ("when", "recording", "sounds", "clips", "size", "job"),
        [_row(folders, one) for one in found],
        whole=("job",),
    )
    if not found:
        none = "No clips that go with these words are kept" if words else "No clips are kept here"
        typer.echo(f"{none}; those of 'tweeze separate' lie in your own folders.", err=True)
    if more:
        typer.echo(f"There are more: -n shows more than {limit}, a word fewer.", err=True)


def forget(job: Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]) -> None:
    """Remove a job's clips, its kept masks, and what is written down of it.

    Clips that are in a project already stay there. A job that runs, or whose clips wait for an
    editor, is not forgotten.
    """
    request = Request(new_id(), "", (("action", "forget"), ("job", check_id(job))))
    with waiting("Forgetting"):
        status = Client(Folders.of_user()).request(request)
    if status.state is JobState.CANCELLED:
        raise Cancelled("Cancelled.")
    if status.state is not JobState.DONE:
        raise BadInput(status.message) if status.bad_input else Failure(status.message)
    print(shown(status.message))


def _facts(one: Past) -> dict[str, object]:
    job = one.entry.job
    return {
        "id": job.id,
        "when": one.entry.accepted,
        "mixture": str(job.mixture),
        "title": job.title,
        "queries": list(job.queries),
        "nots": list(job.nots),
        "clips": [str(one.entry.status.clips[number].path) for number in one.clips],
        "bytes": one.size,
        "host": job.placement.host if job.placement else "",
    }


def _row(folders: Folders, one: Past) -> tuple[str, ...]:
    job = one.entry.job
    captured = job.mixture.parent == folders.mixtures
    return (
        time.strftime("%Y-%m-%d %H:%M", time.localtime(one.entry.accepted)),
        job.title if captured else one.file,
        ", ".join((*job.queries, *(f"- {text}" for text in job.nots))),
        str(len(one.clips)),
        f"{one.size / 1e6:.1f} MB",
        job.id,
    )
