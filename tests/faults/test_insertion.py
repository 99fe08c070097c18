"""What Audacity's user asked for goes in, once, whatever breaks in between; never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audacity import insertion, resident
from audacity.resident import AudacityResident
from bridge.private import check_private
from engine.errors import Failure
from engine.folders import Folders
from engine.job import JobState, Status
from engine.queue.journal import Insertion, Journal
from tests.faults.editor import Timeline, studio
from tests.faults.inside import run, until
from tests.faults.test_disk import Disk, disk, scribble

__all__ = ["disk"]  # a fixture


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    return folders


@pytest.fixture
def timeline(monkeypatch: pytest.MonkeyPatch) -> Timeline:
    made = Timeline()
    made.install(monkeypatch)
    monkeypatch.setattr(insertion, "_LOOK", 0.1)
    return made


# One at a time.


@pytest.mark.fault(
    "a request is cancelled in the middle of its talk with Audacity, and another one comes",
    promise="the second waits until the first has left Audacity in order; nothing is left behind",
)
@pytest.mark.parametrize("action", ["separate", "again", "insert"])
def test_a_cancelled_request_keeps_its_turn(
    folders: Folders, timeline: Timeline, action: str
) -> None:
    async def scenario() -> None:
        async with studio(folders) as engine:
            await engine.done("r-0")  # the host is not there yet, so that its clip waits
            step = "insert" if action == "insert" else "capture"
            timeline.hold(step)
            engine.ask("r-1", action, query="dog")
            await until(timeline.reached[step].is_set)
            (folders.cancel / "r-1").touch()
            assert (await engine.answer("r-1")).state is JobState.CANCELLED
            engine.ask("r-2", query="rain")
            await until(lambda: (s := engine.said("r-2")) and s.state is JobState.RUNNING)
            beat = folders.heartbeat.stat().st_mtime_ns
            for _ in range(2):  # time in which a second thread would come in
                await until(lambda beat=beat: folders.heartbeat.stat().st_mtime_ns > beat)  # type: ignore[misc]
                beat = folders.heartbeat.stat().st_mtime_ns
            timeline.let_go(step)
            assert (await engine.answer("r-2")).state is JobState.DONE
            assert timeline.most == 1
            engine.begin()
            await until(engine.settled)
            assert sorted(timeline.names) == ["Track - dog", "Track - rain"]
            assert not list(folders.mixtures.iterdir())

    run(scenario())


@pytest.mark.fault(
    "the engine ends while a clip goes in and others of the job wait",
    promise="the clip goes in whole, the others at the next start; each once",
)
def test_the_engine_ends_between_two_clips(folders: Folders, timeline: Timeline) -> None:
    async def first() -> None:
        async with studio(folders) as engine:
            job = await engine.done("r-1", "dog; rain; wind")
            timeline.hold("insert")
            engine.begin()
            await until(timeline.reached["insert"].is_set)
            ending = asyncio.create_task(engine.end())
            await asyncio.sleep(0)
            await until(lambda: engine.host._thread._at_rest)
            timeline.let_go("insert")
            await ending
            assert timeline.names == ["Track - dog"]
            states = [engine.journal.insertion(job, n) for n in range(3)]
            assert states == [Insertion.INSERTED, Insertion.FREE, Insertion.FREE]

    async def second() -> None:
        async with studio(folders) as engine:
            engine.begin()
            await until(engine.settled)
            assert timeline.names == ["Track - dog", "Track - rain", "Track - wind"]

    run(first())
    run(second())
    assert timeline.most == 1


@pytest.mark.fault(
    "the engine is to end, and Audacity does not answer in the middle of an insertion",
    promise="it ends in time; the doubtful clip waits for the user's word, which is said",
)
def test_the_engine_ends_and_audacity_hangs(
    folders: Folders, timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_REST", 0.2)

    async def first() -> None:
        async with studio(folders) as engine:
            await engine.done("r-1")
            timeline.hold("insert")
            engine.begin()
            await until(timeline.reached["insert"].is_set)
            await engine.end()
            with pytest.raises(Failure, match="about to end"):
                await engine.host._thread.do(lambda abandoned: None)

    async def second() -> None:
        async with studio(folders) as engine:
            engine.begin()
            await until(engine.settled)
            assert timeline.names == []
            await until(lambda: timeline.told)
            assert "run 'tweeze insert" in timeline.told[-1]
            job = engine.journal.recent()[0].job.id
            engine.ask("r-2", "insert", job=job)
            assert (await engine.answer("r-2")).state is JobState.DONE
            assert timeline.names == ["Track - dog"]

    held: dict[str, Any] = {}
    try:
        run(first())
        held = timeline.holds
        timeline.holds = {}
        run(second())
    finally:
        for event in held.values():
            event.set()


# Nothing is lost.


@pytest.mark.fault(
    "Audacity's part breaks, and a job ends before it is started again",
    promise="its clip goes in when it is, once, and the job is no longer on its way",
)
def test_a_job_ends_while_the_host_is_down(
    folders: Folders, timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with studio(folders) as engine:
            (folders.root / "hold").touch()
            broken = asyncio.Event()

            def noticed() -> bool:
                if (folders.root / "held").exists() and not broken.is_set():
                    broken.set()
                    raise RuntimeError("as a bug would")
                return False

            monkeypatch.setattr(engine.host._startup, "noticed", noticed)
            engine.begin()
            job = await engine.separate("r-1", "hold")
            await broken.wait()
            text = folders.spool / "audacity.txt"
            await until(lambda: not text.exists())  # it is down
            (folders.root / "hold").unlink()
            await engine.service.finished(job)
            await until(lambda: timeline.told)
            assert "new track" in timeline.told[0]
            await until(lambda: engine.settled() and text.exists())
            await until(lambda: "done" not in text.read_text() and "new track" in text.read_text())
            assert timeline.names == ["Track - hold"]
            assert len(timeline.told) == 1

    run(scenario())


@pytest.mark.fault(
    "the engine ends after a job's end and before its clip goes in",
    promise="it goes in after the next start, once; of a failed job the user hears",
)
def test_the_engine_starts_anew_in_the_gap(folders: Folders, timeline: Timeline) -> None:
    async def first() -> None:
        async with studio(folders) as engine:
            await engine.done("r-1")
            job = await engine.separate("r-2", "bug")
            assert (await engine.service.finished(job)).state is JobState.FAILED

    async def again() -> None:
        async with studio(folders) as engine:
            engine.begin()
            await until(engine.settled)
            await until(lambda: len(timeline.told) == 2)

    run(first())
    assert timeline.names == []
    for _ in range(2):
        run(again())
    assert timeline.names == ["Track - dog"]
    assert "new track" in timeline.told[0]
    assert "in a way it does not know" in timeline.told[1]


@pytest.mark.fault(
    "the news of a job's end gets lost",
    promise="the next look into the journal finds it: its clip goes in",
)
def test_lost_news(folders: Folders, timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: AudacityResident, status: Status) -> None:
        raise RuntimeError("as a bug would")

    monkeypatch.setattr(AudacityResident, "_hear", fail)

    async def scenario() -> None:
        async with studio(folders) as engine:
            engine.begin()
            await engine.done("r-1")
            await until(engine.settled)
            assert timeline.names == ["Track - dog"]

    run(scenario())


class Refusing(Journal):
    """Refuses one method some times."""

    method = ""
    times = 0

    def _refuse(self, method: str) -> None:
        if method == Refusing.method and Refusing.times:
            Refusing.times -= 1
            raise Failure("The journal cannot be used (disk I/O error).")


def _refusing(name: str) -> Callable[..., Any]:
    def method(self: Refusing, *args: Any, **more: Any) -> Any:
        self._refuse(name)
        return getattr(Journal, name)(self, *args, **more)

    return method


STEPS = ("attended_by", "insertion", "claim", "settle", "attend", "recent")
for _name in STEPS:
    setattr(Refusing, _name, _refusing(_name))


@pytest.mark.fault(
    "the journal refuses for a while, at each step of an insertion",
    promise="the clip goes in once, and that is said once",
)
@pytest.mark.parametrize("step", STEPS)
def test_a_journal_that_refuses(folders: Folders, timeline: Timeline, step: str) -> None:
    async def scenario() -> None:
        async with studio(folders, Refusing) as engine:
            job = await engine.done("r-1")
            Refusing.method, Refusing.times = step, 3
            engine.begin()
            await until(lambda: not Refusing.times or step == "recent")
            await until(engine.settled)
            assert timeline.names == ["Track - dog"]
            assert engine.journal.insertion(job, 0) is Insertion.INSERTED
            await until(lambda: any("new track" in said for said in timeline.told))
            hindered = step in ("claim", "insertion")
            assert ["new track" in said for said in timeline.told] == [False] * hindered + [True]
            Refusing.times = 0
            engine.ask("r-2", "insert")
            assert "No clip is waiting" in (await engine.answer("r-2")).message

    Refusing.times = 0
    run(scenario())


@pytest.mark.fault(
    "the journal refuses when a clip has gone in, and the user asks for what waits of its job",
    promise="a sentence, nothing goes in a second time; with the journal back it is settled",
)
def test_asked_for_again_while_the_journal_refuses(folders: Folders, timeline: Timeline) -> None:
    async def scenario() -> None:
        async with studio(folders, Refusing) as engine:
            job = await engine.done("r-1")
            Refusing.method, Refusing.times = "settle", 1 << 30
            engine.begin()
            await until(lambda: timeline.names)
            engine.ask("r-2", "insert", job=job)
            status = await engine.answer("r-2")
            assert status.state is JobState.FAILED
            assert "one could go in twice" in status.message
            Refusing.times = 0
            await until(engine.settled)
            assert engine.journal.insertion(job, 0) is Insertion.INSERTED
            assert timeline.names == ["Track - dog"]

    run(scenario())


def use_up(journal: Journal) -> None:
    """Write until the disk refuses: inside, the journal's file may have room for some."""
    for number in range(2000):
        journal.claim(f"other-{number}", 0)


@pytest.mark.fault(
    "the disk is full when a clip is to go in",
    promise="with room again it goes in, once",
)
def test_a_full_disk(disk: Disk, timeline: Timeline) -> None:
    folders = Folders(disk.path / "home")
    check_private(folders)

    async def scenario() -> None:
        async with studio(folders) as engine:
            await engine.done("r-1")
            disk.fill()
            with pytest.raises(Failure, match="check that its disk has room"):
                use_up(engine.journal)
            engine.begin()
            await until(lambda: timeline.told)
            assert "is ready, but not in the project: The journal" in timeline.told[0]
            assert timeline.names == []
            disk.free()
            await until(engine.settled)
            assert timeline.names == ["Track - dog"]
            await until(lambda: len(timeline.told) == 2)
            assert "new track" in timeline.told[-1]

    run(scenario())


@pytest.mark.fault(
    "the journal is damaged after a job's end, before or after its clip is claimed",
    promise="the clip goes in at most once, and once if nobody had claimed it",
)
@pytest.mark.parametrize("claimed", [False, True])
def test_a_damaged_journal(folders: Folders, timeline: Timeline, claimed: bool) -> None:
    async def scenario() -> None:
        async with studio(folders) as engine:
            job = await engine.done("r-1")
            if claimed:
                engine.journal.claim(job, 0)
            scribble(folders.journal)
            engine.begin()
            await until(lambda: list(folders.root.glob("journal.damaged-*")))
            await until(engine.settled)
            assert timeline.names == ([] if claimed else ["Track - dog"])

    run(scenario())


@pytest.mark.fault(
    "another project is in front when a clip is ready",
    promise="that is said once, nothing goes in until the user asks, and then once",
)
def test_another_project_is_in_front(folders: Folders, timeline: Timeline) -> None:
    async def scenario() -> None:
        async with studio(folders) as engine:
            engine.begin()
            timeline.elsewhere = True
            await engine.done("r-1")
            await until(engine.settled)
            await engine.done("r-2", "rain")  # time for more looks
            await until(engine.settled)
            await until(lambda: len(timeline.told) == 2)
            assert timeline.attempts == 2
            timeline.elsewhere = False
            engine.ask("r-3", "insert")
            assert (await engine.answer("r-3")).message == "2 new tracks."
            assert timeline.names == ["Track - dog", "Track - rain"]

    run(scenario())


def test_a_job_that_cannot_be_done_fails_its_request(folders: Folders, timeline: Timeline) -> None:
    async def scenario() -> None:
        async with studio(folders) as engine:
            engine.begin()
            engine.ask("r-1", query="dog", model="nope")
            status = await engine.answer("r-1")
            assert (status.state, status.bad_input) == (JobState.FAILED, True)
            assert "no model named 'nope'" in status.message
            await until(lambda: timeline.told and engine.settled())
            assert len(timeline.told) == 1
            assert not list(folders.mixtures.iterdir())

    run(scenario())
