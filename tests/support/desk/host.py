"""The editor's part of Tweeze. Its selection is the file `selection.wav` in its folder.

Clips are delivered as files into the folder `tracks` beside that.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput, HostError
from engine.folders import Folders
from engine.host import Check, Notify, Option, Report, Resident
from engine.job import Job, Placement, new_id
from engine.queue.journal import Insertion
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status

NAME = "desk"


def _record(folders: Folders) -> Path:
    return folders.root / "desk-install"


class DeskHost:
    name = NAME
    title = "Desk"
    options = (Option("--desk-folder", Path, "Where the desk keeps its selection."),)
    first_steps = "At the desk: lay down a selection."

    def install(self, folders: Folders, options: Mapping[str, Any]) -> list[str]:
        folder = options["desk_folder"]
        if folder is None:
            raise BadInput("Say where the desk is: --desk-folder FOLDER.")
        (folder / "tracks").mkdir(parents=True)
        _record(folders).write_text(str(folder), "utf-8")
        return [f"The desk is {folder}."]

    def uninstall(self, folders: Folders) -> list[str]:
        _record(folders).unlink()
        return ["The desk is gone."]

    def installed(self, folders: Folders) -> bool:
        return _record(folders).exists()

    def check(self, folders: Folders) -> Iterator[Check]:
        folder = Path(_record(folders).read_text("utf-8"))
        yield Check("desk tracks", (folder / "tracks").is_dir(), str(folder), "Make 'tracks'.")

    def attach(self, service: Service, notify: Notify) -> Resident:
        return DeskResident(service, notify)


class DeskResident:
    def __init__(self, service: Service, notify: Notify) -> None:
        self._service = service
        self._notify = notify

    async def run(self) -> None:
        news = asyncio.Event()
        unlisten = self._service.subscribe(lambda status: news.set())
        try:
            while True:
                news.clear()
                for entry in self._service.journal.attended_by(NAME):
                    if entry.status.state is JobState.DONE:
                        await self._deliver(entry.status)
                        self._service.journal.attend(entry.job.id)
                await news.wait()
        finally:
            unlisten()

    async def handle(self, request: Request, report: Report) -> None:
        if request.one("action") != "separate":
            raise BadInput("The desk can only separate.")
        selection = self._folder() / "selection.wav"
        if not selection.exists():
            raise HostError("Nothing lies on the desk.")
        job = Job(
            new_id(),
            selection,
            request.all("query"),
            title="Desk",
            placement=Placement(NAME, "project", "Desk", 0, 16_000),
            client=NAME,
        )
        await self._service.submit(job, attendant=NAME)
        status = await self._service.admitted(job.id)
        if status.state is JobState.FAILED:
            raise BadInput(status.message)
        report(Status(request.id, JobState.DONE, 1.0, f"Desk: job {job.id}"))

    async def _deliver(self, status: Status) -> None:
        journal = self._service.journal
        for number, clip in enumerate(status.clips):
            if journal.claim(status.id, number):
                shutil.copy(clip.path, self._folder() / "tracks" / clip.path.name)
                journal.settle(status.id, number, Insertion.INSERTED)
        await self._notify(f"{len(status.clips)} new on the desk.")

    def _folder(self) -> Path:
        return Path(_record(self._service.folders).read_text("utf-8"))
