"""A resident engine, real but for its model: what tests kill. It does not load torch itself."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from multiprocessing.connection import Connection

from bridge import app, hosts
from engine.folders import Folders
from engine.host import Notify, Report, Resident
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

    def __init__(self, name: str) -> None:
        self.name = name

    def attach(self, service: Service, notify: Notify) -> Resident:
        self._service = service
        return self

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def handle(self, request: Request, report: Report) -> None:
        mixture = self._service.folders.root / "selection.wav"
        job = Job(f"{request.id}-{self.name}", mixture, request.all("query"), client=self.name)
        await self._service.submit(job)


if __name__ == "__main__":
    from tests.faults.engine import main as worker_main  # by a name that the worker can import

    app.Service = functools.partial(Service, worker_main=worker_main)  # type: ignore[misc]
    hosts.HOSTS = (*hosts.HOSTS, Desk("desk1"), Desk("desk2"))  # type: ignore[assignment]
    if os.environ.get("TWEEZE_DYING_JOURNAL"):
        app.Journal = DyingJournal  # type: ignore[misc]
    if "TWEEZE_EDITOR_DIES" in os.environ:
        from tests.faults.dying_editor import take_the_place

        take_the_place(Folders.of_user().root, os.environ["TWEEZE_EDITOR_DIES"])
    app.main()
