"""An engine with Audacity's part in it, and a stand-in for the editor itself.

It notices who talks to it, and when two do at once. Tests put it in the place of the pipe; what
leads there (requests, host, queue, journal, worker) is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest
import soundfile

from audacity import insertion, resident
from audacity.resident import AudacityResident
from audacity.timeline import Captured, OtherProject
from bridge import app
from bridge.doors.spool import Spool
from bridge.requests import Requests
from engine.errors import Cancelled
from engine.files import replace_text
from engine.folders import Folders
from engine.job import Placement, new_id
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.request import Request
from engine.status import Clip, JobState, Status
from tests.faults.engine import main as standin_main
from tests.faults.inside import until

DEADLINE = 180.0


class Timeline:
    """What lies on it, who is connected, and where the next is to be held up."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.told: list[str] = []  # on the desktop
        self.most = 0  # connections at once
        self.attempts = 0  # to insert
        self.elsewhere = False  # whether another project is in front
        self.holds: dict[str, threading.Event] = {}
        self.reached: dict[str, threading.Event] = {}
        self._connected = 0
        self._lock = threading.Lock()

    def hold(self, step: str) -> None:
        """Hold up who next comes to a step, `capture` or `insert`, until `let_go`."""
        self.reached[step] = threading.Event()
        self.holds[step] = threading.Event()

    def let_go(self, step: str) -> None:
        self.holds.pop(step).set()

    def pass_by(self, step: str) -> None:
        if step in self.holds:
            self.reached[step].set()
            assert self.holds[step].wait(DEADLINE), "nobody let go"

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        with self._lock:
            self._connected += 1
            self.most = max(self.most, self._connected)
        try:
            yield
        finally:
            with self._lock:
                self._connected -= 1

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        timeline = self

        class Pipe:
            def __init__(self, **more: object) -> None:
                self._stack = contextlib.ExitStack()

            def __enter__(self) -> Pipe:
                self._stack.enter_context(timeline.connected())
                return self

            def __exit__(
                self,
                kind: type[BaseException] | None,
                error: BaseException | None,
                trace: TracebackType | None,
            ) -> None:
                self._stack.close()

        class Place(contextlib.AbstractContextManager["Place"]):
            in_doubt = False

            def __init__(self, pipe: Pipe, placement: Placement, *, known: object) -> None:
                timeline.attempts += 1
                if timeline.elsewhere:
                    raise OtherProject("Another project is in front: run 'tweeze insert'.")

            def __exit__(self, *exception: object) -> None:
                pass

            def insert(self, clip: Clip, *, mute: bool = False) -> None:
                timeline.pass_by("insert")
                timeline.names.append(clip.name)

        def capture(
            pipe: Pipe,
            folder: Path,
            *,
            keepsake: Path,
            labels: bool,
            seen: object,
            abandoned: Callable[[], bool] = lambda: False,
        ) -> list[Captured]:
            timeline.pass_by("capture")
            if abandoned():
                raise Cancelled("It was cancelled.")
            path = folder / f"{new_id()}.wav"
            noise = np.random.default_rng(5).standard_normal(96_000).astype(np.float32) * 0.1
            soundfile.write(path, noise, 16_000, subtype="FLOAT")
            return [Captured(path, "Track", 0, 16_000, 96_000, 1, "project")]

        async def notify(sentence: str) -> None:
            timeline.told.append(sentence)

        monkeypatch.setattr(app, "notify", notify)
        monkeypatch.setattr(resident, "Pipe", Pipe)
        monkeypatch.setattr(insertion, "Pipe", Pipe)
        monkeypatch.setattr(insertion, "Place", Place)
        monkeypatch.setattr(resident.timeline, "capture", capture)


class Studio:
    """An engine with Audacity's part in it."""

    def __init__(self, folders: Folders, journal: Journal) -> None:
        self.folders = folders
        self.journal = journal
        self.service = Service(folders, journal, worker_main=standin_main)
        self.host = AudacityResident(self.service, app.notify)
        self.requests = Requests(self.service, {"audacity": self.host})
        self.spool = Spool(self.service, self.requests)
        self.part: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Have the host insert what comes."""
        self.part = asyncio.create_task(app._run("audacity", self.host))

    async def end(self) -> None:
        """End the host as the engine's end does."""
        if self.part is not None:
            self.part.cancel()
            await asyncio.gather(self.part, return_exceptions=True)
            self.part = None

    def ask(self, id_: str, action: str = "separate", **fields: str) -> None:
        request = Request(id_, "audacity", (("action", action), *fields.items()))
        replace_text(self.folders.requests / id_, request.to_text())

    def said(self, id_: str) -> Status | None:
        with contextlib.suppress(FileNotFoundError):
            return Status.from_text((self.folders.request_status / id_).read_text("utf-8"))
        return None

    async def answer(self, id_: str) -> Status:
        await until(lambda: (status := self.said(id_)) is not None and status.state.final)
        status = self.said(id_)
        assert status is not None
        return status

    async def separate(self, id_: str, query: str = "dog", **fields: str) -> str:
        """Ask, and return the id of the job that comes of it."""
        self.ask(id_, query=query, **fields)
        status = await self.answer(id_)
        assert status.state is JobState.DONE, status.message
        return status.message.split("job ")[1]

    async def done(self, id_: str, query: str = "dog", **fields: str) -> str:
        """The same, and wait for the job's end."""
        job = await self.separate(id_, query, **fields)
        assert (await self.service.finished(job)).state is JobState.DONE
        return job

    def settled(self) -> bool:
        return not self.journal.attended_by("audacity")


@contextlib.asynccontextmanager
async def studio(folders: Folders, kind: type[Journal] = Journal) -> AsyncIterator[Studio]:
    journal = kind(folders.journal)
    made = Studio(folders, journal)
    await made.spool.open()
    await made.service.start()
    try:
        yield made
    finally:
        await made.end()
        await made.spool.close()
        await made.requests.close()
        await made.service.stop()
        made.spool.detach()
        journal.close()
