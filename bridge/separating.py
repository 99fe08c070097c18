"""`tweeze separate`: one file, from the command line to the clips in the user's folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.client import Client
from bridge.delivery import Destination
from bridge.interruption import Interrupted, Interruption
from engine.errors import BadAudio, BadInput, Cancelled, Failure, TweezeError
from engine.file_names import file_name
from engine.folders import Folders
from engine.job import Job, clean_query, new_id
from engine.options import Options
from engine.status import JobState, Status

__all__ = ["Result", "progress", "raise_unless_done", "resolved", "separate", "take_back"]


@dataclass(frozen=True)
class Result:
    """A finished job and where its clips lie now, in the order of `status.clips`."""

    status: Status
    file: Path
    model: str
    paths: tuple[Path, ...]

    def to_json(self) -> str:
        """Return one JSON object that says it all."""
        status = self.status
        return json.dumps(
            {
                "id": status.id,
                "file": str(self.file),
                "model": self.model,
                "seconds": status.seconds,
                "loading": status.loading,
                "clips": [
                    {"path": str(path), "kind": clip.kind.value, "query": clip.query}
                    for path, clip in zip(self.paths, status.clips, strict=True)
                ],
                "presence": list(status.presence),
                "notes": list(status.notes),
            }
        )


def separate(
    file: Path, queries: Sequence[str], options: Options, folder: Path, *, quiet: bool = False
) -> Result:
    """Separate a file through the engine, and bring its clips to `folder`.

    Interrupted by Ctrl-C or SIGTERM, the job is cancelled and nothing is left.

    Raises
    ------
    BadInput
        The file, a query or the folder is wrong.
    Failure
        The separation did not succeed.
    Interrupted
        A signal came.

    """
    folders = Folders.of_user()
    path = resolved(file)
    title = file_name(path.stem)
    cleaned = tuple(clean_query(query) for query in queries)
    job = Job(new_id(), path, cleaned, options, title, client=f"cli-{os.getpid()}")
    job.to_text()  # complains of a path that does not fit into a job file
    client = Client(folders)
    with Interruption() as interruption:
        destination = Destination(folder)
        try:
            with progress(title, quiet=quiet) as heard:
                status = client.separate(job, heard)
            raise_unless_done(status)
            with interruption.shield():
                paths = destination.deliver(status.clips)
        except BaseException as error:
            destination.withdraw()
            if isinstance(error, Interrupted):
                take_back(client, job)
            raise
    return Result(status, file, options.model, paths)


def resolved(file: Path) -> Path:
    """Return where a file really lies: the engine follows no symbolic links."""
    try:
        place = file.resolve(strict=True)
        str(place).encode()
        return place
    except FileNotFoundError:
        raise BadAudio(f"{file} does not exist: check the path.") from None
    except UnicodeEncodeError:
        raise BadAudio(
            f"{file} has bytes in its name, or in a folder's, that are no UTF-8: rename it."
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadAudio(f"{file} cannot be opened ({reason}): check its permissions.") from error


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

        def heard(status: Status) -> None:
            waits = status.state is JobState.QUEUED
            loads = not waits and not status.progress
            now = "waiting" if waits else "loading the model" if loads else doing
            bar.update(task, completed=status.progress, description=f"{title}: {now}")

        yield heard
