"""A resident engine, real but for its model: what tests kill. It does not load torch itself."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from multiprocessing.connection import Connection

from bridge import app
from bridge.hosts import Report
from engine.folders import Folders
from engine.job import Job
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status


def main(connection: Connection, folders: Folders) -> None:
    """What the worker process runs."""
    from tests.faults import standin

    standin.main(connection, folders)


def _first(journal: Journal, id_: str) -> bool:
    try:
        (journal.path.parent / f"died-{id_}").open("x").close()
    except FileExistsError:
        return False
    return True


class DyingJournal(Journal):
    """Kills the engine in the moment in which a job's end is to be recorded, once a job."""

    def record(self, status: Status, *, deaths: int | None = None) -> None:
        if status.state is JobState.DONE and _first(self, status.id):
            os.kill(os.getpid(), signal.SIGKILL)
        super().record(status, deaths=deaths)


class Desk:
    """An editor whose selection is always the file `selection.wav` in the home folder."""

    def __init__(self, service: Service, *, name: str = "desk") -> None:
        self._service = service
        self.name = name

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def handle(self, request: Request, report: Report) -> None:
        mixture = self._service.folders.root / "selection.wav"
        job = Job(f"{request.id}-{self.name}", mixture, request.all("query"), client=self.name)
        await self._service.submit(job)


if __name__ == "__main__":
    from tests.faults.engine import main as worker_main  # by a name that the worker can import

    app.Service = functools.partial(Service, worker_main=worker_main)  # type: ignore[misc]
    desks = tuple(functools.partial(Desk, name=f"desk{n}") for n in (1, 2))
    app.hosts.REGISTERED = (*app.hosts.REGISTERED, *desks)  # type: ignore[attr-defined]
    if os.environ.get("TWEEZE_DYING_JOURNAL"):
        app.Journal = DyingJournal  # type: ignore[misc]
    app.main()
