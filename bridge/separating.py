"""`tweeze separate`: one file, from the command line to the clips in the user's folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.client import Client
from bridge.delivery import Destination
from bridge.interruption import Interrupted, Interruption
from bridge.streams import STANDARD, StandardOutput, source
from engine.errors import BadInput, Cancelled, Failure, TweezeError
from engine.folders import Folders
from engine.job import Job, clean_query, new_id
from engine.options import Options
from engine.request import Request
from engine.status import JobState, Status

__all__ = ["Result", "adjust", "progress", "raise_unless_done", "separate", "take_back"]


@dataclass(frozen=True)
class Result:
    """A finished job and where its clips lie now, in the order of `status.clips`.

    `file` is the recording, None for a job that was adjusted.
    """

    status: Status
    file: Path | None
    model: str
    paths: tuple[Path, ...]

    @property
    def named(self) -> list[tuple[str, Path]]:
        """What each clip is called, and where it lies."""
        names = [clip.query or "the rest" for clip in self.status.clips]
        return list(zip(names, self.paths, strict=False))

    def to_json(self) -> str:
        """Return one JSON object that says it all."""
        status = self.status
        return json.dumps(
            {
                "id": status.id,
                "file": None if self.file is None else str(self.file),
                "model": self.model,
                "answers": list(status.answers),
                "seconds": status.seconds,
                "loading": status.loading,
                "clips": [
                    {"path": str(path), "kind": clip.kind.value, "query": clip.query}
                    for path, clip in zip(self.paths, status.clips, strict=True)
                ],
                "presence": list(status.presence),
                "certainty": [
                    {"step": one.step, "values": list(one.values)} for one in status.certainty
                ],
                "notes": list(status.notes),
            }
        )


def separate(
    file: Path,
    queries: Sequence[str],
    options: Options,
    folder: Path,
    *,
    nots: Sequence[str] = (),
    quiet: bool = False,
    on_draft: Callable[[tuple[Path, ...]], None] | None = None,
) -> Result:
    """Separate a recording through the engine, and bring its clips to `folder`.

    `STANDARD` as the file is standard input, and as the folder standard output, for one clip.
    `on_draft` is called with the files of a first answer, if `options` ask for one.
    Interrupted by Ctrl-C or SIGTERM, the job is cancelled and nothing is left.

    Raises
    ------
    BadInput
        The file, a query or the folder is wrong.
    Failure
        The separation did not succeed.
    Interrupted
        A signal came.
    BrokenPipeError
        Whoever reads standard output has had enough; nothing is left.

    """
    folders = Folders.of_user()
    cleaned = tuple(dict.fromkeys(clean_query(query) for query in queries))
    unwanted = tuple(dict.fromkeys(clean_query(text) for text in nots))
    client = Client(folders)
    with Interruption() as interruption, source(file, folders) as recording:
        title = recording.title
        job = Job(
            new_id(),
            recording.path,
            cleaned,
            options,
            title,
            client=f"cli-{os.getpid()}",
            nots=unwanted,
        )
        destination = StandardOutput() if folder == STANDARD else Destination(folder)
        drafted: tuple[Path, ...] = ()
        try:
            with progress(title, quiet=quiet) as show:

                def on_status(status: Status) -> None:
                    nonlocal drafted
                    show(status)
                    if status.draft and not drafted:
                        drafted = destination.draft(status.draft)
                        if on_draft is not None and drafted:
                            on_draft(drafted)

                status = recording.renamed(client.separate(job, on_status))
            raise_unless_done(status)
            # A file must not be left half-moved; a pipe may be held up by whoever reads it.
            files = isinstance(destination, Destination)
            with interruption.shield() if files else contextlib.nullcontext():
                paths = destination.deliver(status.clips)
        except BaseException as error:
            destination.withdraw()
            if isinstance(error, Interrupted | BrokenPipeError):
                take_back(client, job)
            raise
    return Result(status, file, options.model, paths)


def adjust(job: str, changes: Sequence[tuple[str, str]], folder: Path | None) -> Result:
    """Adjust a job that is done, and bring the new clips to `folder`.

    `changes` are fields of the request (see `bridge.adjusting`). Without a folder the clips go
    where those of the job went: into an editor's project.

    Raises
    ------
    BadInput
        The job cannot be adjusted so, or the folder is wrong.
    Failure
        It did not succeed.
    Interrupted
        A signal came.

    """
    folders = Folders.of_user()
    client = Client(folders)
    destination = Destination(folder) if folder is not None else None
    fields = [("action", "adjust"), ("job", job), ("client", f"cli-{os.getpid()}"), *changes]
    if destination is None:
        fields.append(("into", "editor"))
    request = Request(new_id(), "", tuple(fields))
    with Interruption() as interruption:
        try:
            with progress(f"job {job}", quiet=False, doing="adjusting") as on_status:
                status = client.request(request, on_status)
            raise_unless_done(status)
            job_id = status.clips[0].path.parent.name if status.clips else job
            paths = tuple(clip.path for clip in status.clips)
            if destination is not None:
                with interruption.shield():
                    paths = destination.deliver(status.clips)
        except BaseException as error:
            if destination is not None:
                destination.withdraw()
            if isinstance(error, Interrupted):
                client.cancel(request.id)
            raise
    status = replace(status, id=job_id)
    return Result(status, None, ", ".join(dict.fromkeys(status.answers)), paths)


def raise_unless_done(status: Status) -> None:
    """Raise what a job's final status tells, unless it is that the job is done."""
    if status.state is JobState.CANCELLED:
        raise Cancelled(f"Job {status.id} was cancelled.")
    if status.state is JobState.FAILED:
        raise BadInput(status.message) if status.bad_input else Failure(status.message)


def take_back(client: Client, job: Job) -> None:
    """Cancel a job, wait until the engine has let go of it, and remove what it made."""
    client.cancel(job.id)
    if client.knows(job.id):
        with contextlib.suppress(TweezeError):
            client.follow(job.id, restart=False)
    shutil.rmtree(client.folders.clips / job.id, ignore_errors=True)


@contextlib.contextmanager
def progress(
    title: str, *, quiet: bool, doing: str = "separating"
) -> Iterator[Callable[[Status], None]]:
    """Show a progress bar on the terminal, if standard error is one."""
    if quiet or not sys.stderr.isatty():
        yield lambda status: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        Remaining(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(f"{title}: waiting", total=1.0)

        def show(status: Status) -> None:
            waits = status.state is JobState.QUEUED
            loads = not waits and not status.progress
            now = "waiting" if waits else "loading the model" if loads else doing
            bar.update(task, completed=status.progress, description=f"{title}: {now}")

        yield show
