from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import standins

from engine.errors import BadJob
from engine.folders import Folders
from engine.job import Job, Task
from engine.options import Keep, Options, Presence
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.service import Activity, Service
from engine.queue.worker_handle import WorkerMain
from engine.status import Event, Heard, JobState, Status

DEADLINE = 180.0  # seconds until what must happen counts as not happening


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "street.wav"
    noise = np.random.default_rng(3).standard_normal((16_000 * 12, 2)) * 0.1
    soundfile.write(path, noise.astype(np.float32), 16_000, subtype="FLOAT")
    return path


@contextlib.asynccontextmanager
async def service_in(
    folders: Folders, worker_main: WorkerMain = standins.main, **limits: float
) -> AsyncIterator[Service]:
    journal = Journal(folders.journal)
    service = Service(
        folders,
        journal,
        limits=replace(Limits(), **limits),  # type: ignore[arg-type]
        worker_main=worker_main,
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
        journal.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def job(number: int, mixture: Path, query: str = "dog", **more: Any) -> Job:
    return Job(f"job-{number}", mixture, (query,), title="street", **more)


def clip_bytes(status: Status) -> list[bytes]:
    assert status.state is JobState.DONE, status
    return [clip.path.read_bytes() for clip in status.clips]


async def undisturbed(service: Service, job: Job) -> list[bytes]:
    """What the same job gives when nothing happens to it."""
    twin = replace(job, id=f"{job.id}-undisturbed")
    await service.submit(twin)
    return clip_bytes(await service.finished(twin.id))


def hold(folders: Folders) -> Path:
    file = folders.root / "hold"
    file.touch()
    return file


async def held(folders: Folders) -> int:
    """Wait until the model holds in the middle of a job, and return its process id."""
    file = folders.root / "held"
    await until(file.exists)
    pid = int(file.read_text())
    file.unlink()
    return pid


def test_a_status_says_what_is_missing_and_what_to_ask_for(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders, standins.hearing_main) as service:
            alone = Options(presence=Presence.SEPARATOR)
            asked = replace(job(1, wav), queries=("dog", "a gone pheasant", "drums"), options=alone)
            await service.submit(asked)
            status = await service.finished("job-1")
            assert status.presence == (0.93, 0.02, 0.93)
            first, second, third = status.certainty
            assert first == third
            assert (first.step, len(first.values)) == (0.32, 38)  # 12 s
            assert (first.values[:3], second.values[:3]) == ((0.93, 0.93, 0.0), (0.02, 0.02, 0.0))
            stem, missing = status.notes
            assert stem.startswith("For 'drums' out of a finished song")
            assert missing.startswith(
                "'a gone pheasant' was barely detected in this recording: try '"
            )
            assert service.journal.get("job-1").status == status  # type: ignore[union-attr]

    run(scenario())


def test_a_listening_job_tells_what_is_heard(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders, standins.hearing_main) as service:
            await service.submit(Job("job-1", wav, (), Options("ears"), task=Task.LISTEN))
            status = await service.finished("job-1")
            assert status.state is JobState.DONE
            event = Event(0.0, 12.0, 0.88)
            dog = Heard("dog barking", 0.88, (event,), "Bark")
            assert status.heard == (dog, Heard("rain", 0.12, (), "Rain"))  # that is possible
            assert status.clips == ()
            assert list(folders.clips.iterdir()) == []
            assert service.journal.get("job-1").status == status  # type: ignore[union-attr]
            await service.submit(Job("job-2", wav, (), Options("compact"), task=Task.LISTEN))
            status = await service.finished("job-2")
            assert (status.state, status.bad_input) == (JobState.FAILED, True)
            assert (
                "compact separates sounds and cannot say what is in a recording" in status.message
            )
            await service.submit(replace(job(3, wav), options=Options("ears")))
            status = await service.finished("job-3")
            assert (status.state, status.bad_input) == (JobState.FAILED, True)
            assert "ears names the sounds of a recording and cannot separate" in status.message

    run(scenario())


def test_a_job_is_done_and_told_step_by_step(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            told: list[Status] = []
            service.subscribe(told.append)
            first = job(1, wav, options=Options(keep=Keep.BOTH))
            status = await service.submit(first)
            assert status.state is JobState.QUEUED
            status = await service.finished("job-1")
            assert len(clip_bytes(status)) == 2
            states = [s.state for s in told]
            assert states[0] is JobState.QUEUED
            assert states[-1] is JobState.DONE
            assert JobState.RUNNING in states
            progress = [s.progress for s in told]
            assert progress == sorted(progress)
            assert progress[-1] == 1.0
            assert any(s.loading > 0 for s in told)
            assert service.models == ("compact",)
            assert service.activity is Activity.IDLE
            # the second finds the model in memory, and the same job is not done again
            await service.submit(job(2, wav))
            await service.finished("job-2")
            assert told[-1].loading == 0
            assert await service.submit(first) == status
            with pytest.raises(BadJob):
                await service.submit(replace(first, title="other"))

    run(scenario())


def test_a_model_that_did_not_load_is_not_loading_when_the_next_job_begins(
    folders: Folders, wav: Path
) -> None:
    async def main() -> None:
        async with service_in(folders, standins.second_time_main) as service:
            await service.submit(job(1, wav))
            assert (await service.finished("job-1")).message == "The weights are damaged."
            begun: list[Activity] = []

            def note(status: Status) -> None:
                if status.state is JobState.RUNNING:
                    begun.append(service.activity)

            service.subscribe(note)
            await service.submit(job(2, wav))
            assert (await service.finished("job-2")).state is JobState.DONE
            assert begun[0] is Activity.RUNNING

    run(main())


def test_a_worker_killed_in_the_middle_changes_nothing(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            file = hold(folders)
            held_job = job(1, wav, "hold")
            await service.submit(held_job)
            pid = await held(folders)
            assert pid == service.worker_pid
            os.kill(pid, signal.SIGKILL)
            second = await held(folders)
            assert second != pid
            os.kill(second, signal.SIGKILL)
            file.unlink()
            status = await service.finished("job-1")
            assert clip_bytes(status) == await undisturbed(service, held_job)

    run(scenario())


def test_a_job_that_kills_three_workers_fails_and_the_next_goes_on(
    folders: Folders, wav: Path
) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            await service.submit(job(1, wav, "crash"))
            await service.submit(job(2, wav))
            status = await service.finished("job-1")
            assert status.state is JobState.FAILED
            assert "ended 3 times" in status.message
            assert not status.bad_input
            assert not (folders.clips / "job-1").exists()
            assert (await service.finished("job-2")).state is JobState.DONE
            entry = service.journal.get("job-1")
            assert entry is not None
            assert entry.deaths == 3

    run(scenario())


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process")
def test_a_stopped_worker_is_replaced(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders, silence=4) as service:
            frozen = job(1, wav, "freeze")
            await service.submit(frozen)
            status = await service.finished("job-1")
            assert (folders.root / "frozen").exists()
            assert clip_bytes(status) == await undisturbed(service, frozen)

    run(scenario())


def test_a_worker_that_dies_while_it_waits_costs_the_next_job_nothing(
    folders: Folders, wav: Path
) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            await service.submit(job(1, wav))
            await service.finished("job-1")
            os.kill(service.worker_pid, signal.SIGKILL)
            await until(lambda: service.worker_pid == 0)
            await service.submit(job(2, wav))
            assert (await service.finished("job-2")).state is JobState.DONE
            entry = service.journal.get("job-2")
            assert entry is not None
            assert entry.deaths == 0

    run(scenario())


def test_cancelling_a_waiting_and_a_running_job_leaves_nothing(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            file = hold(folders)
            await service.submit(job(1, wav, "hold"))
            await held(folders)
            await service.submit(job(2, wav))
            assert service.queue_length == 1
            assert service.cancel("job-2").state is JobState.CANCELLED
            assert service.cancel("job-1").state is JobState.RUNNING
            file.unlink()
            assert (await service.finished("job-1")).state is JobState.CANCELLED
            assert list(folders.clips.iterdir()) == []
            assert service.cancel("job-1").state is JobState.CANCELLED
            with pytest.raises(BadJob, match="no job"):
                service.cancel("job-9")
            await service.submit(job(3, wav))
            assert (await service.finished("job-3")).state is JobState.DONE

    run(scenario())


def test_a_job_outlives_its_service(folders: Folders, wav: Path) -> None:
    async def first_half() -> None:
        async with service_in(folders) as service:
            await service.submit(job(1, wav, "hold"))
            await service.submit(job(2, wav))
            await held(folders)
            worker = psutil.Process(service.worker_pid)
        assert not worker.is_running()

    async def second_half() -> None:
        journal = Journal(folders.journal)
        states = [entry.status.state for entry in journal.unfinished()]
        assert states == [JobState.QUEUED, JobState.QUEUED]
        journal.close()
        async with service_in(folders) as service:
            status = await service.finished("job-1")
            assert clip_bytes(status) == await undisturbed(service, job(1, wav, "hold"))
            assert (await service.finished("job-2")).state is JobState.DONE

    file = hold(folders)
    run(first_half())
    file.unlink()
    run(second_half())


def test_an_idle_worker_goes_and_comes_back(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders, idle=0.1) as service:
            await service.submit(job(1, wav))
            await service.finished("job-1")
            worker = service.worker_pid
            await until(lambda: not psutil.pid_exists(worker))
            assert service.worker_pid == 0
            assert service.models == ()
            await service.submit(job(2, wav))
            assert (await service.finished("job-2")).state is JobState.DONE

    run(scenario())


def test_clients_take_turns(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            file = hold(folders)
            await service.submit(job(0, wav, "hold", client="a"))
            await held(folders)
            for number, client in enumerate("aaabbc", start=1):
                await service.submit(job(number, wav, client=client))
            for number in range(1, 7):
                await service.admitted(f"job-{number}")
            order: list[str] = []
            service.subscribe(lambda s: order.append(s.id) if s.state is JobState.DONE else None)
            file.unlink()
            await until(lambda: len(order) == 7)
            assert order == [f"job-{n}" for n in (0, 4, 6, 1, 5, 2, 3)]

    run(scenario())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("memory", "not enough memory"),
        ("allocate", "not enough memory"),
        ("bug", "Unexpected error (ZeroDivisionError)"),
    ],
)
def test_what_goes_wrong_in_the_worker_is_a_sentence(
    folders: Folders, wav: Path, query: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            await service.submit(job(1, wav, query))
            status = await service.finished("job-1")
            assert status.state is JobState.FAILED
            assert said in status.message
            assert "Traceback" not in status.message
            assert "Traceback" in caplog.text
            worker = service.worker_pid
            await service.submit(job(2, wav))
            assert (await service.finished("job-2")).state is JobState.DONE
            assert service.worker_pid == worker

    run(scenario())


def test_a_captured_mixture_goes_with_its_last_job_and_the_users_file_stays(
    folders: Folders, wav: Path
) -> None:
    async def scenario() -> None:
        async with service_in(folders) as service:
            captured = folders.mixtures / "selection.wav"
            captured.write_bytes(wav.read_bytes())
            file = hold(folders)
            await service.submit(job(1, captured, "hold"))
            await held(folders)
            await service.submit(job(2, captured))
            service.cancel("job-2")
            assert captured.exists()
            file.unlink()
            await service.finished("job-1")
            assert not captured.exists()
            await service.submit(job(3, wav))
            await service.finished("job-3")
            assert wav.exists()

    run(scenario())


def test_a_job_that_cannot_be_done_fails_at_once(folders: Folders, wav: Path) -> None:
    link = wav.with_name("link.wav")
    link.symlink_to(wav)
    wrong = {
        "no model named 'nope'": job(1, wav, options=Options(model="nope")),
        "does not exist": job(2, wav.with_name("gone.wav")),
        "is a symbolic link": job(3, link),
    }

    async def scenario() -> None:
        async with service_in(folders) as service:
            for said, wrong_job in wrong.items():
                await service.submit(wrong_job)
                status = await service.admitted(wrong_job.id)
                assert status.state is JobState.FAILED
                assert said in status.message
                assert status.bad_input
            assert service.worker_pid == 0

    run(scenario())


def test_a_full_disk_is_said_before_the_work(
    folders: Folders, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("engine.queue.admission.shutil.disk_usage", lambda path: usage)

    async def scenario() -> None:
        async with service_in(folders) as service:
            await service.submit(job(1, wav))
            status = await service.admitted("job-1")
            assert status.state is JobState.FAILED
            assert "has 1 MB left: free some space" in status.message
            assert not status.bad_input

    run(scenario())


def test_a_queue_in_which_no_job_comes_on_counts_the_seconds(folders: Folders, wav: Path) -> None:
    async def scenario() -> None:
        now = 100.0
        journal = Journal(folders.journal)
        service = Service(folders, journal, clock=lambda: now)  # not started: no job comes on
        now += 50
        assert (service.stalled, service.activity) == (0.0, Activity.IDLE)
        await service.submit(job(1, wav))
        assert (service.stalled, service.activity) == (0.0, Activity.LOOKING)
        now += 42
        await service.submit(job(2, wav))
        assert service.stalled == 42.0
        service.cancel("job-1")
        assert service.stalled == 0.0
        now += 3
        assert service.stalled == 3.0
        service.cancel("job-2")
        assert (service.stalled, service.activity) == (0.0, Activity.IDLE)
        await service.stop()
        journal.close()

    run(scenario())


def test_what_only_a_worker_needs_is_not_loaded() -> None:
    """The transforms alone take as long as all the rest of the engine."""
    heavy = "{'torch', 'scipy', 'soxr', 'engine.queue.worker'}"
    code = f"import sys, bridge.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
