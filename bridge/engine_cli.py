"""`tweeze start`, `stop`, `status`, `cancel`, `log`, `doctor`: the engine and what it does."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge import launch
from bridge.client import Client
from bridge.patience import waiting
from engine.display import shown
from engine.errors import BadInput, BadJob
from engine.files import read_small
from engine.folders import Folders
from engine.job import check_id
from engine.mask_room import size as masks_size
from engine.queue.heartbeat import STALLED, Heartbeat
from engine.settings import Settings
from engine.status import JobState, Status

if TYPE_CHECKING:
    from engine.host import Check

__all__ = ["add_to"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (start, stop, status, cancel, log, doctor):
        app.command()(command)


def start() -> None:
    """Start the engine, if it does not run."""
    with waiting("Starting the engine"):
        beat, started = launch.ensure(Folders.of_user())
    print(f"The engine {'has started' if started else 'was running'} (process {beat.pid}).")


def stop() -> None:
    """End the engine; a running job goes on at the next start."""
    with waiting("Ending the engine"):
        ended = launch.stop(Folders.of_user())
    print("The engine has ended." if ended else "The engine was not running.")


def status(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its id; without it, the engine.")] = "",
    as_json: Json = False,
) -> None:
    """Say what the engine does, or where a job stands."""
    folders = Folders.of_user()
    if job:
        found = Client(folders).status(check_id(job))
        if found is None:
            raise BadJob(f"There is no job {job}: see 'tweeze status' for those there are.")
        print(json.dumps(_job_facts(found)) if as_json else _job_lines(found))
        return
    beat = Heartbeat.of_living(folders)
    jobs = _recent(folders)
    if as_json:
        facts = {
            "running": beat is not None,
            "engine": None if beat is None else vars(beat),
            "jobs": [_job_facts(found) for found in jobs],
            "masks": masks_size(folders.masks),
        }
        print(json.dumps(facts))
        return
    if beat is None:
        print("The engine is not running; any command that needs it starts it.")
    else:
        models = ", ".join(beat.models) or "no model"
        print(
            f"The engine {shown(beat.version)} is {beat.state} (process {beat.pid}, {models} in "
            f"memory, {beat.queue} waiting)."
        )
        if beat.stalled >= STALLED:
            doing = f"Job {beat.running}" if beat.running else "Looking at a waiting job's file"
            print(
                f"{doing} has made no progress for {beat.stalled} s; 'tweeze cancel JOB' ends a "
                "job within half a minute."
            )
        if beat.notice:
            print(shown(beat.notice))
    kept = masks_size(folders.masks)
    if kept:
        room = Settings.of_environment().masks_gb
        print(f"Kept masks, for 'tweeze adjust', take {kept / 1e6:,.0f} MB of {room:g} GB.")
    for found in jobs:
        share = f" {found.progress:.0%}" if found.state is JobState.RUNNING else ""
        reason = f": {shown(found.message)}" if found.state is JobState.FAILED else ""
        print(f"{found.id}  {found.state.value}{share}{reason}{_clips(found)}")


def cancel(job: Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]) -> None:
    """Cancel a job that waits or runs."""
    client = Client(Folders.of_user())
    found = client.status(check_id(job))
    if not client.knows(job):
        raise BadJob(f"There is no job {job}: see 'tweeze status' for those there are.")
    if found is not None and found.state.final:
        print(f"Job {job} had already ended ({found.state.value}).")
        return
    with waiting(f"Cancelling job {job}"):
        launch.ensure(client.folders, any_version=True)
        client.cancel(job)
        ended = client.follow(job)
    print(f"Job {job}: {shown(ended.message) or ended.state.value}")


def log(
    lines: Annotated[int, typer.Option("-n", min=0, help="How many lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", help="Go on with what comes.")] = False,
) -> None:
    """Show the end of the engine's log."""
    path = Folders.of_user().log
    if not path.exists() and not follow:
        print("The engine has not written a log yet.")
        return
    position = 0
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        position = len(data)
        text = data.decode("utf-8", "replace").removesuffix("\n")
        for line in text.split("\n")[-lines or position :] if text else ():
            print(shown(line))
    while follow:
        time.sleep(0.2)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if path.stat().st_size < position:  # a new file: the log was rotated
                position = 0
            file.seek(position)
            more = file.read()
            position += len(more)
            text = more.decode("utf-8", "replace")
            print("\n".join(shown(line) for line in text.split("\n")), end="", flush=True)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Print a text for a bug report, with nothing private in it."),
    ] = False,
) -> None:
    """Check the installation and say what to do about faults.

    The report holds versions, the checks, settings and the end of the log; your home folder, your
    name, queries, names of files and secrets are replaced. Read it before you send it.
    """
    if as_json and report:
        raise BadInput("'--json' and '--report' are two forms of the same: leave one of them out.")
    from bridge import hosts_cli
    from bridge.doctor import examine
    from bridge.report import report as written

    folders = Folders.of_user()
    with waiting("Checking the installation") as show:

        def shown_as_it_ends(checks: Iterable[Check]) -> list[Check]:
            found = []
            for check in checks:
                found.append(check)
                if not (as_json or report):
                    show("")
                    _print_check(check)
                show("Checking")
            return found

        checks = shown_as_it_ends(examine(folders, lambda what: show(what.capitalize())))
        editors = shown_as_it_ends(hosts_cli.examine(folders))
    if report:
        print("\n".join(map(shown, written(folders, checks, editors).split("\n"))))
        return
    if as_json:
        print(json.dumps([vars(check) for check in (*checks, *editors)]))
    if not all(check.ok for check in (*checks, *editors)):
        raise typer.Exit(1)


def _print_check(check: Check) -> None:
    print(shown(f"{'ok   ' if check.ok else 'WRONG'}  {check.name}: {check.said}"), flush=True)
    if not check.ok and check.remedy:
        print(shown(f"       {check.remedy}"), flush=True)


def _clips(found: Status) -> str:
    """Return what to say of a job's clips in a line: the first one's name, and how many follow."""
    if not found.clips:
        return ""
    more = f" and {len(found.clips) - 1} more" if found.clips[1:] else ""
    return f": {shown(found.clips[0].name)}{more}"


def _recent(folders: Folders, limit: int = 5) -> list[Status]:
    """Return the unfinished jobs and those that ended last, the latest first."""
    times = []
    with contextlib.suppress(FileNotFoundError):
        for path in folders.status.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it is replaced, or goes, as we look
                if not path.name.startswith("."):
                    times.append((path.stat().st_mtime_ns, path))
    found = []
    ended = 0
    for _, path in sorted(times, reverse=True):
        try:
            status = Status.from_text(read_small(path))
        except (BadInput, OSError):
            continue
        ended += status.state.final
        if not status.state.final or ended <= limit:
            found.append(status)
    return found


def _job_facts(status: Status) -> dict[str, Any]:
    return {
        "id": status.id,
        "state": status.state.value,
        "progress": status.progress,
        "message": status.message,
        "seconds": status.seconds,
        "loading": status.loading,
        "clips": [
            {"path": str(clip.path), "kind": clip.kind.value, "query": clip.query}
            for clip in status.clips
        ],
        "presence": list(status.presence),
        "certainty": [{"step": one.step, "values": list(one.values)} for one in status.certainty],
        "notes": list(status.notes),
    }


def _job_lines(status: Status) -> str:
    rows = [f"{status.id}  {status.state.value}"]
    if status.state is JobState.RUNNING:
        rows[0] += f" {status.progress:.0%}"
    if status.message:
        rows.append(status.message)
    rows += [str(clip.path) for clip in status.clips]
    return "\n".join(map(shown, [*rows, *status.notes]))
