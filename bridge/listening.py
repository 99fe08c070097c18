"""`tweeze listen`: one file, from the command line through the engine to what is heard in it."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.client import Client
from bridge.interruption import Interrupted, Interruption
from bridge.separating import progress, raise_unless_done, resolved, take_back
from engine.file_names import file_name
from engine.folders import Folders
from engine.job import Job, Task, new_id
from engine.options import Options
from engine.status import Status

__all__ = ["listen"]


def listen(file: Path, model: str) -> Status:
    """Have the engine name the sounds in a file; `heard` of the status says which and when.

    Interrupted by Ctrl-C or SIGTERM, the job is cancelled.

    Raises
    ------
    BadInput
        The file is wrong, or the model cannot listen.
    Failure
        It did not succeed.
    Interrupted
        A signal came.

    """
    path = resolved(file)
    job = Job(
        new_id(),
        path,
        (),
        Options(model),
        title=file_name(path.stem),
        client=f"cli-{os.getpid()}",
        task=Task.LISTEN,
    )
    client = Client(Folders.of_user())
    with Interruption():
        try:
            with progress(job.title, quiet=False, doing="listening") as heard:
                status = client.separate(job, heard)
            raise_unless_done(status)
        except Interrupted:
            take_back(client, job)
            raise
    return status
