"""`tweeze listen`: one file, from the command line through the engine to what is heard in it."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.client import Client
from bridge.interruption import Interrupted, Interruption
from bridge.separating import progress, raise_unless_done, take_back
from bridge.streams import source
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
        The file is wrong, or the model does not listen.
    Failure
        It did not succeed.
    Interrupted
        A signal came.

    """
    folders = Folders.of_user()
    client = Client(folders)
    with Interruption(), source(file, folders) as recording:
        job = Job(
            new_id(),
            recording.path,
            (),
            Options(model),
            title=recording.title,
            client=f"cli-{os.getpid()}",
            task=Task.LISTEN,
        )
        try:
            with progress(job.title, quiet=False, doing="listening") as on_status:
                status = recording.renamed(client.separate(job, on_status))
            raise_unless_done(status)
        except Interrupted:
            take_back(client, job)
            raise
    return status
