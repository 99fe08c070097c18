"""Requests of several jobs of which some are refused: what is told, what goes on, what is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audacity.insertion import Inserter
from audacity.marks import Marks
from audacity.resident import AudacityResident
from audacity.timeline import Captured
from bridge.doors.osc import Osc
from bridge.doors.spool import Spool
from bridge.requests import Requests
from engine.errors import Cancelled
from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job
from engine.options import Options
from engine.places import Band, Span
from engine.presets import Preset
from engine.queue.outbox import Outbox
from engine.queue.preset_file import PresetFile
from engine.queue.service import Service
from engine.request import Request
from engine.status import Clip, ClipKind, JobState, Status
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

    async def ask(self, service: Service, *fields: tuple[str, str], name: str = "r-1") -> Status:
        host = AudacityResident(service, self.notify)
        requests = Requests(service, {"audacity": host})
        spool = Spool(service, requests)
        await spool.open()
        task = asyncio.create_task(host.run())
        try:
            action = () if dict(fields).get("action") else (("action", "separate"),)
            request = Request(name, "audacity", (*action, *fields))
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


def test_named_and_marked_places_reach_the_jobs(
    folders: Folders, desk: Desk, noise: Callable[..., Path]
) -> None:
    marks = Marks((Span(0.25, 0.5),), (Span(0.75),), Band(500, 4000), ("+ now",))
    for number in (1, 2):
        desk.track(noise(folders.mixtures / f"take-{number}.wav", 1.0))
    desk.tracks[1:] = [replace(desk.tracks[1], marks=marks)]
    told = "The label '+ now' has no length, so it was ignored."

    async def scenario() -> None:
        async with service_in(folders) as service:
            status = await desk.ask(service, ("query", "dog"))
            jobs = {e.job.title: e.job.options for e in service.journal.recent()}
        assert status.message == (
            "take-1 (1.0 s): job take-1; take-2 (1.0 s), only at 1 labelled span, not at 1 "
            "labelled span, only from 500 to 4000 Hz: job take-2"
        )
        assert jobs["take-1"] == Options()
        assert jobs["take-2"] == Options(at=marks.at, never=marks.never, band=(Band(500, 4000),))
        assert desk.told.count(told) == 1

    run(scenario())


def test_places_of_the_request_come_before_those_that_are_marked(
    folders: Folders, desk: Desk, noise: Callable[..., Path]
) -> None:
    desk.track(noise(folders.mixtures / "take.wav", 1.0))
    marks = Marks((Span(0.25, 0.5),), (Span(0.75),), Band(500, 4000))
    desk.tracks[0] = replace(desk.tracks[0], marks=marks)

    async def scenario() -> None:
        async with service_in(folders) as service:
            fields = (("at", "0-0.5,0.75-"), ("band", "300-3400,5000-"))
            status = await desk.ask(service, ("query", "dog"), *fields)
            (entry,) = service.journal.recent()
        assert status.message == "take (1.0 s): job take"
        at, band = (Span(0, 0.5), Span(0.75)), (Band(300, 3400), Band(5000))
        assert entry.job.options == Options(at=at, band=band)

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


def test_what_is_adjusted_goes_where_it_came_from(
    folders: Folders, desk: Desk, noise: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.track(noise(folders.mixtures / "take-1.wav", 1.0))
    inserted: list[str] = []
    attend = Outbox.attend

    def attended(self: Outbox, id: str) -> None:  # noqa: A002
        inserted.append(id)
        attend(self, id)

    monkeypatch.setattr(Outbox, "attend", attended)

    async def scenario() -> None:
        async with service_in(folders) as service:
            await desk.ask(service, ("query", "dog"))
            adjust = (("action", "adjust"), ("job", "last"), ("amount", "50.00"))
            status = await desk.ask(service, *adjust, ("into", "editor"), name="r-2")
            assert status.state is JobState.DONE, status.message
            apart = await desk.ask(service, *adjust, name="r-3")
            assert apart.state is JobState.DONE
            entries = {entry.job.id: entry for entry in service.journal.recent()}
            assert len(entries) == 3
            first = next(entry.job for entry in entries.values() if not entry.job.base)
            placed, loose = (
                next(e.job for e in entries.values() if e.job.id == said.clips[0].path.parent.name)
                for said in (status, apart)
            )
            assert placed.placement == first.placement
            assert placed.options.amount == 50
            assert loose.placement is None
            assert loose.base == placed.id  # 'last' is the one that was sent last
            # Audacity's part has the one to handle, or has handled it already.
            waiting = [entry.job.id for entry in service.journal.attended_by("audacity")]
            assert (placed.id in waiting) or placed.id in inserted
            assert loose.id not in [*waiting, *inserted]

    run(scenario())


def test_audacity_asks_by_a_preset(
    folders: Folders, desk: Desk, noise: Callable[..., Path]
) -> None:
    """By its name beside other fields, in what is typed into the dialog, and again."""
    presets = PresetFile(folders)
    presets.save(Preset("Birds", ("bird song",), ("wind",), (("sharpness", "2"),)))
    presets.save(Preset("half", options=(("amount", "50"),)))
    usual = (("keep", "target"), ("mute", "no"), ("model", "auto"))  # as the dialog sends them
    sharp = Options(sharpness=2)
    asked: tuple[tuple[tuple[tuple[str, str], ...], tuple[str, ...], Options], ...] = (
        ((("preset", "birds"),), ("bird song",), sharp),
        (
            (("action", "again"), ("preset", "half")),
            ("bird song",),
            Options(sharpness=2, amount=50),
        ),
        ((("query", "@birds; dog"), ("not", ""), *usual), ("bird song", "dog"), sharp),
        ((("action", "again"),), ("bird song", "dog"), sharp),
        ((("query", "cow"), *usual), ("cow",), Options()),
        ((("action", "again"), ("preset", "birds"), ("sharpness", "1")), ("bird song",), Options()),
    )

    async def scenario() -> None:
        async with service_in(folders) as service:
            for number, (fields, queries, options) in enumerate(asked):
                wav = noise(folders.mixtures / f"take-{number}.wav", 0.5)
                desk.tracks.clear()
                desk.track(wav)
                status = await desk.ask(service, *fields, name=f"r-{number}")
                assert status.state is JobState.DONE, status.message
                job = service.journal.recent(1)[0].job
                assert (job.queries, job.options) == (queries, options)
                assert job.nots == (() if queries == ("cow",) else ("wind",))

    run(scenario())


@pytest.mark.fault(
    "a preset is named that is not there",
    promise="the user is told in a sentence, and nothing is left",
)
def test_a_preset_that_is_gone(folders: Folders, desk: Desk, noise: Callable[..., Path]) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            desk.track(noise(folders.mixtures / "take-1.wav", 0.5))
            typed = await desk.ask(service, ("query", "@birds"))
            named = await desk.ask(service, ("preset", "birds"), name="r-2")
            again = (("action", "again"), ("preset", "birds"))
            other = await desk.ask(service, *again, name="r-3")
        for status in (typed, named, other):
            assert status.bad_input
            assert status.message.startswith("There is no preset 'birds': save one with 'tweeze")
        assert desk.told == [typed.message]  # what is typed into the dialog is answered there
        assert not list(folders.mixtures.iterdir())

    run(scenario())


def test_a_request_to_adjust_is_cancelled_with_its_job(
    folders: Folders, desk: Desk, noise: Callable[..., Path]
) -> None:
    wav = noise(folders.root.parent / "street.wav", 30.0)

    async def scenario() -> None:
        async with service_in(folders) as service:
            job = Job("first", wav, ("dog",), Options(masks=False))
            await service.submit(job)
            await service.finished("first")
            requests = Requests(service, {})
            said: list[Status] = []
            fields = (("action", "adjust"), ("job", "first"), ("query", "rain"))
            requests.submit(Request("r-2", "", fields), said.append)
            await until(lambda: len(service.journal.recent()) == 2)
            requests.cancel("r-2")
            await until(lambda: said[-1].state.final)
            assert said[-1].state is JobState.CANCELLED
            await until(lambda: not service.journal.unfinished())
            again = service.journal.recent(1)[0]
            assert (again.job.base, again.status.state) == ("first", JobState.CANCELLED)
            await requests.close()

    run(scenario())


def test_a_draft_is_told_once_over_osc(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            osc = Osc(service, Requests(service, {}))
            sent: list[tuple[str, list[object]]] = []
            monkeypatch.setattr(
                osc, "_send", lambda address, values, to: sent.append((address, values))
            )
            draft = (Clip(Path("/tmp/draft/a - dog.wav"), ClipKind.TARGET, "dog", "a - dog"),)
            running = Status("job-1", JobState.RUNNING, 0.2, draft=draft)
            for status in (running, replace(running, progress=0.5)):
                osc._tell(status)
            told = [values for address, values in sent if address == "/tweeze/job/draft"]
            assert told == [["job-1", "/tmp/draft/a - dog.wav"]]

    run(scenario())
