"""Requests of several jobs of which some are refused: what is told, what goes on, what is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audacity.insertion import Inserter
from audacity.resident import AudacityResident
from audacity.timeline import Captured
from bridge.doors.spool import Spool
from bridge.requests import Requests
from engine.errors import Cancelled
from engine.files import replace_text
from engine.folders import Folders
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from tests.faults.inside import DEADLINE, run, service_in, until


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders


class Desk:
    """Audacity's part beside a real queue and spool; the editor itself is a list of tracks."""

    def __init__(self, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders = folders
        self.tracks: list[Captured] = []
        self.told: list[str] = []

        monkeypatch.setattr(AudacityResident, "_capture", lambda *_: list(self.tracks))
        monkeypatch.setattr(Inserter, "_insert", lambda *_: 1)

    def track(self, path: Path) -> None:
        self.tracks.append(Captured(path, path.stem, 0, 16_000, 16_000, 1, "abc"))

    async def notify(self, sentence: str) -> None:
        self.told.append(sentence)

    async def ask(self, service: Service, *fields: tuple[str, str]) -> Status:
        host = AudacityResident(service, self.notify)
        requests = Requests(service, {"audacity": host})
        spool = Spool(service, requests)
        await spool.open()
        task = asyncio.create_task(host.run())
        try:
            request = Request("r-1", "audacity", (("action", "separate"), *fields))
            replace_text(self.folders.requests / request.id, request.to_text())
            path = self.folders.request_status / request.id

            def status() -> Status | None:
                return Status.from_text(path.read_text("utf-8")) if path.exists() else None

            await until(lambda: (said := status()) is not None and said.state.final)
            await until(lambda: not service.journal.unfinished())
            await asyncio.sleep(0)  # what was said goes to the desktop in tasks of their own
            said = status()
            assert said is not None
            return said
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await spool.close()
            await requests.close()
            spool.detach()


@pytest.fixture
def desk(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(folders, monkeypatch)


@pytest.mark.fault(
    "a request names a model that is not there",
    promise="it fails with the engine's sentence, said once; nothing is left",
)
def test_all_are_refused(folders: Folders, desk: Desk, noise: Callable[..., Path]) -> None:
    for number in (1, 2):
        desk.track(noise(folders.mixtures / f"take-{number}.wav", 1.0))

    async def scenario() -> None:
        async with service_in(folders) as service:
            status = await desk.ask(service, ("query", "dog"), ("model", "nope"))
        assert (status.state, status.bad_input) == (JobState.FAILED, True)
        assert status.message.startswith("There is no model named 'nope'")
        assert status.message.count("nope") == 1
        assert desk.told == [status.message]
        assert not list(folders.mixtures.iterdir())
        assert not list(folders.clips.iterdir())

    run(scenario())


@pytest.mark.fault(
    "one of three captured tracks cannot be read back",
    promise="the request says so and fails, the other two are done",
)
def test_one_is_refused(folders: Folders, desk: Desk, noise: Callable[..., Path]) -> None:
    for number in (1, 2, 3):
        desk.track(noise(folders.mixtures / f"take-{number}.wav", 1.0))
    desk.tracks[1].path.write_bytes(b"no audio")

    async def scenario() -> None:
        async with service_in(folders) as service:
            status = await desk.ask(service, ("query", "dog"))
            states = {e.job.title: e.status.state for e in service.journal.recent()}
        assert status.state is JobState.FAILED
        assert "take-2.wav" in status.message
        assert "The others go on: take-1 (1.0 s): job take-1; take-3 (1.0 s): job take-3." in (
            status.message
        )
        done = JobState.DONE
        assert states == {"take-1": done, "take-2": JobState.FAILED, "take-3": done}
        assert sum("take-2" in sentence for sentence in desk.told) == 1
        assert not list(folders.mixtures.iterdir())

    run(scenario())


@pytest.mark.fault(
    "a request is cancelled while the engine looks at its first job",
    promise="no job of it stays in the queue, no mixture is left",
)
def test_cancelled_while_it_sends(
    folders: Folders, desk: Desk, noise: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        desk.track(noise(folders.mixtures / f"take-{number}.wav", 1.0))

    cancelled = threading.Event()

    def look(*_: Any) -> None:
        (folders.cancel / "r-1").touch()
        assert cancelled.wait(DEADLINE)

    monkeypatch.setattr("engine.queue.admission.admit", look)

    async def scenario() -> None:
        async with service_in(folders) as service:
            try:
                status = await desk.ask(service, ("query", "dog"))
            finally:
                cancelled.set()
            assert status.state is JobState.CANCELLED
            assert service.queue_length == 0
        assert not list(folders.mixtures.iterdir())

    run(scenario())


def test_a_host_that_gives_up_when_it_is_cancelled_has_not_failed(folders: Folders) -> None:
    """A thread that it had to stop says so by `Cancelled`, and not by asyncio's own error."""

    class GivesUp:
        async def run(self) -> None:
            raise NotImplementedError

        async def handle(self, request: Request, report: object) -> None:
            raise Cancelled("The capture was cancelled.")

    found: list[Status] = []

    async def scenario() -> None:
        async with service_in(folders) as service:
            requests = Requests(service, {"audacity": GivesUp()})
            requests.submit(Request("r-1", "audacity", (("query", "dog"),)), found.append)
            await until(lambda: found[-1].state.final)

    run(scenario())
    assert (found[-1].state, found[-1].message) == (JobState.CANCELLED, "Cancelled: 'dog'.")
