"""A network share stops to answer: who reads from it hangs and cannot be killed, but no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hanging
import psutil
import pytest

from bridge import launch
from bridge.doors.spool import Spool
from bridge.private import check_private
from bridge.requests import Requests
from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from reaper import resident as reaper_resident
from tests.faults.engine import main as standin_main
from tests.faults.inside import run, service_in, until
from tests.faults.resident import Resident, write_noise


@pytest.fixture
def share(tmp_path: Path) -> Iterator[hanging.Share]:
    if not hanging.available():
        reason = "NOT TESTED: what a hanging share does, for want of root and /dev/fuse."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    (tmp_path / "source").mkdir()
    source = write_noise(tmp_path / "source" / "far.wav", 10.0)
    with hanging.share(tmp_path / "share", source) as made:
        yield made


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    return folders


@contextlib.asynccontextmanager
async def door(folders: Folders, limits: Limits) -> AsyncIterator[Service]:
    journal = Journal(folders.journal)
    service = Service(folders, journal, limits=limits, worker_main=standin_main)
    spool = Spool(service, Requests(service, {}))
    await spool.open()
    await service.start()
    try:
        yield service
    finally:
        await spool.close()
        await service.stop()
        spool.detach()
        journal.close()


def said(folders: Folders, id_: str) -> Status | None:
    with contextlib.suppress(FileNotFoundError):
        return Status.from_text((folders.status / id_).read_text("utf-8"))
    return None


async def final(folders: Folders, id_: str) -> Status:
    await until(lambda: (status := said(folders, id_)) is not None and status.state.final)
    status = said(folders, id_)
    assert status is not None
    return status


@pytest.mark.fault(
    "the mixtures of twenty clients' jobs lie on a network share that does not answer",
    promise="the next client's job is done meanwhile; theirs can be cancelled, or fail by a limit",
)
def test_mixtures_on_a_share_that_hangs(
    tmp_path: Path, folders: Folders, share: hanging.Share, tries: Callable[[int], None]
) -> None:
    near = write_noise(tmp_path / "near.wav", 2.0)
    far = [
        Job(f"far-{n}", share.path / "far.wav", ("dog",), client=f"client-{n}") for n in range(20)
    ]
    share.hang()

    def send(job: Job) -> None:
        replace_text(folders.jobs / job.id, job.to_text())

    async def scenario() -> None:
        async with door(folders, Limits(admission=600)) as service:
            for job in far:
                send(job)
            send(Job("near", near, ("dog",), client="z"))
            assert (await final(folders, "near")).state is JobState.DONE
            await until(lambda: not list(folders.jobs.iterdir()))
            assert {service.status(job.id).state for job in far} == {JobState.QUEUED}
            beat = Heartbeat.read(folders.heartbeat)
            assert beat is not None
            assert beat.queue == len(far)
            (folders.cancel / "far-0").touch()
            assert (await final(folders, "far-0")).state is JobState.CANCELLED
        async with door(folders, Limits(admission=0.5)):  # as an engine that starts anew
            for job in far[1:]:
                status = await final(folders, job.id)
                assert (status.state, status.bad_input) == (JobState.FAILED, True)
                assert "'far.wav' could not be looked at within" in status.message
                assert "Copy the file to a disk of this machine." in status.message

    run(scenario())
    tries(len(far))


@pytest.mark.fault(
    "a client's first job hangs at its mixture, its second does not",
    promise="the second waits for the first one's end, so that they come in order",
)
def test_a_clients_jobs_keep_their_order(
    tmp_path: Path, folders: Folders, share: hanging.Share
) -> None:
    near = write_noise(tmp_path / "near.wav", 2.0)
    share.hang()

    async def scenario() -> None:
        async with service_in(folders, admission=600) as service:
            ended: list[str] = []
            service.subscribe(lambda s: ended.append(s.id) if s.state.final else None)
            await service.submit(Job("job-1", share.path / "far.wav", ("dog",), client="a"))
            await service.submit(Job("job-2", near, ("dog",), client="a"))
            for number in (3, 4):
                await service.submit(Job(f"job-{number}", near, ("dog",), client="b"))
            await service.finished("job-4")
            assert service.status("job-2").state is JobState.QUEUED
            service.cancel("job-1")
            assert (await service.finished("job-2")).state is JobState.DONE
            assert ended == ["job-3", "job-4", "job-1", "job-2"]

    run(scenario())


@pytest.mark.fault(
    "the worker hangs in a read of a share that does not answer, and cannot be killed (state D)",
    promise="its job can be cancelled; it is left behind, and another worker does the next job",
)
def test_a_worker_that_cannot_be_killed(
    tmp_path: Path, folders: Folders, share: hanging.Share, caplog: pytest.LogCaptureFixture
) -> None:
    near = write_noise(tmp_path / "near.wav", 10.0)
    (folders.root / "far").symlink_to(share.path / "far.wav")

    async def scenario() -> None:
        async with service_in(folders, obedience=0.5) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", near, ("hold and read far",)))
            await until((folders.root / "held").exists)
            stuck = psutil.Process(service.worker_pid)
            share.hang()
            (folders.root / "hold").unlink()
            await until(share.holds)
            service.cancel("job-1")
            assert (await service.finished("job-1")).state is JobState.CANCELLED
            assert stuck.is_running()
            assert "does not leave a cancelled job" in caplog.text
            assert "was killed and does not end" in caplog.text
            await service.submit(Job("job-2", near, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE
            assert service.worker_pid not in (0, stuck.pid)
            assert stuck.is_running()

    run(scenario())


@pytest.mark.fault(
    "the folder of a cancelled job's clips hangs when it is to be removed",
    promise="the job is cancelled at once, and the next one is done",
)
def test_clips_that_cannot_be_removed(
    tmp_path: Path, folders: Folders, share: hanging.Share
) -> None:
    near = write_noise(tmp_path / "near.wav", 10.0)

    async def scenario() -> None:
        async with service_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", near, ("hold",)))
            await service.submit(Job("job-2", near, ("dog",)))
            assert (await service.admitted("job-2")).state is JobState.QUEUED
            with hanging.share(folders.clips / "job-2", near) as there:
                there.hang()
                assert service.cancel("job-2").state is JobState.CANCELLED
                (folders.root / "hold").unlink()
                assert (await service.finished("job-1")).state is JobState.DONE
                await service.submit(Job("job-3", near, ("dog",)))
                assert (await service.finished("job-3")).state is JobState.DONE

    run(scenario())


@pytest.mark.fault(
    "a model lies on a share that does not answer when REAPER's part looks what there is to offer",
    promise="the engine goes on: requests are answered",
)
def test_models_on_a_share_that_hangs(
    folders: Folders, share: hanging.Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper_resident, "_WAKING", 0.3)
    (folders.models / "far").symlink_to(share.path, target_is_directory=True)
    share.hang()

    async def quiet(sentence: str) -> None:
        """Show nothing on the desktop."""

    async def scenario() -> None:
        async with service_in(folders) as service:
            host = reaper_resident.ReaperResident(service, quiet)
            part = asyncio.create_task(host.run())
            await until(share.holds)
            told: list[Status] = []
            await host.handle(Request("r-1", "reaper", (("action", "cancel"),)), told.append)
            assert [status.state for status in told] == [JobState.DONE]
            part.cancel()
            await asyncio.gather(part, return_exceptions=True)

    run(scenario())


@pytest.mark.fault(
    "the engine is to end while it looks at a file on a share that does not answer",
    promise="it ends by itself in time, and the next engine takes its place",
)
def test_the_engine_ends_while_a_share_hangs(
    tmp_path: Path, folders: Folders, share: hanging.Share
) -> None:
    near = write_noise(tmp_path / "near.wav", 2.0)
    first, second = Resident(folders), Resident(folders)
    try:
        first.start()
        share.hang()
        job = Job("far", share.path / "far.wav", ("dog",), client="a")
        first.client.submit(job)
        deadline = time.monotonic() + 60
        while first.status("far") is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert launch.stop(folders)
        assert "The engine ended." in first.log()
        second.start()
        second.client.submit(Job("near", near, ("dog",), client="b"))
        assert second.final("near").state is JobState.DONE
        status = second.status("far")
        assert status is not None
        assert status.state is JobState.QUEUED
    finally:
        share.end()
        for engine in (first, second):
            engine.stop()


@pytest.mark.fault(
    "a worker goes on with a job that was cancelled",
    promise="after a while it is ended, and another does the next job",
)
def test_a_worker_that_does_not_obey(tmp_path: Path, folders: Folders) -> None:
    near = write_noise(tmp_path / "near.wav", 10.0)

    async def scenario() -> None:
        async with service_in(folders, obedience=0.5) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", near, ("hold",)))
            await until((folders.root / "held").exists)
            deaf = service.worker_pid
            for _ in range(3000):  # more than a pipe that nobody reads would take
                service.cancel("job-1")
            assert (await service.finished("job-1")).state is JobState.CANCELLED
            assert not (folders.clips / "job-1").exists()
            await service.submit(Job("job-2", near, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE
            assert service.worker_pid != deaf
            entry = service.journal.get("job-2")
            assert entry is not None
            assert entry.deaths == 0

    run(scenario())
