"""Nothing hangs: stopped workers, idle ones, and a load that is no longer wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.folders import Folders
from engine.job import Job
from engine.status import JobState
from tests.faults.inside import run, service_in, until
from tests.faults.resident import MANY, expected, write_noise

Tries = Callable[[int], None]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders


@pytest.mark.fault(
    "the worker is stopped (SIGSTOP) from outside in the middle of a job",
    promise="its silence is noticed, and another ends the job in the same bytes",
)
def test_a_stopped_worker(tmp_path: Path, folders: Folders, tries: Tries) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    todo = [Job(f"job-{n}", mixture, ("hold",)) for n in range(10 if MANY else 1)]
    wanted = expected(todo, tmp_path / "calm")

    async def scenario() -> None:
        async with service_in(folders, silence=5) as service:
            for job in todo:
                (folders.root / "hold").touch()
                await service.submit(job)
                await until((folders.root / "held").exists)
                (folders.root / "held").unlink()
                stopped = psutil.Process(service.worker_pid)
                stopped.suspend()
                (folders.root / "hold").unlink()
                status = await service.finished(job.id)
                assert [clip.path.read_bytes() for clip in status.clips] == wanted[job.id]
                assert not stopped.is_running()

    run(scenario())
    tries(len(todo))


@pytest.mark.fault(
    "a segment takes far longer than the worker's silence may last",
    promise="signs of life come nevertheless: nobody is replaced, there is no time limit",
)
def test_a_long_segment_is_no_silence(tmp_path: Path, folders: Folders) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)

    async def scenario() -> None:
        async with service_in(folders, silence=4) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", mixture, ("hold",)))
            await until((folders.root / "held").exists)
            pid = service.worker_pid
            began = time.monotonic()
            await until(lambda: time.monotonic() - began > 9)
            assert service.worker_pid == pid
            (folders.root / "hold").unlink()
            assert (await service.finished("job-1")).state is JobState.DONE
            assert service.worker_pid == pid

    run(scenario())


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended meanwhile, or is a zombie
        return False


@pytest.mark.fault(
    "nothing to do for the idle minutes",
    promise="worker and memory are gone; the next job brings it back",
)
def test_an_idle_worker(tmp_path: Path, folders: Folders, tries: Tries) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 2.0)
    rounds = 20 if MANY else 2

    async def scenario() -> None:
        async with service_in(folders, idle=0.1) as service:
            pids = set()
            others = set(psutil.Process().children(recursive=True))  # of earlier tests
            for number in range(rounds):
                await service.submit(Job(f"job-{number}", mixture, ("dog",)))
                assert (await service.finished(f"job-{number}")).state is JobState.DONE
                pid = service.worker_pid
                pids.add(pid)
                await until(lambda pid=pid: not psutil.pid_exists(pid))  # type: ignore[misc]
                await until(lambda: service.worker_pid == 0)
                children = set(psutil.Process().children(recursive=True))
                assert not any(map(_is_worker, children - others))
            assert len(pids) == rounds

    run(scenario())
    tries(rounds)


@pytest.mark.fault(
    "a job is cancelled while its model loads, and the load does not end",
    promise="it is cancelled at once, and the next job is done",
)
def test_cancelled_while_loading(tmp_path: Path, folders: Folders) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 2.0)

    async def scenario() -> None:
        async with service_in(folders) as service:
            (folders.root / "hold-load").touch()
            await service.submit(Job("job-1", mixture, ("dog",)))
            await until((folders.root / "loading").exists)
            await until(lambda: service.activity.value == "loading")
            service.cancel("job-1")
            assert (await service.finished("job-1")).state is JobState.CANCELLED
            (folders.root / "hold-load").unlink()
            await service.submit(Job("job-2", mixture, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE
            entry = service.journal.get("job-1")
            assert entry is not None
            assert entry.deaths == 0
            assert not (folders.clips / "job-1").exists()

    run(scenario())


@pytest.mark.fault(
    "a worker dies or hangs while it waits for work",
    promise="the next job pays nothing for it",
)
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_waiting_worker(tmp_path: Path, folders: Folders, name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"NOT TESTED: this system has no {name}.")
    mixture = write_noise(tmp_path / "mixture.wav", 2.0)

    async def scenario() -> None:
        async with service_in(folders, silence=4) as service:
            await service.submit(Job("job-1", mixture, ("dog",)))
            await service.finished("job-1")
            pid = service.worker_pid
            assert pid  # 0 would be the tests themselves
            os.kill(pid, getattr(signal, name))
            await until(lambda: service.worker_pid == 0)
            await service.submit(Job("job-2", mixture, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE
            entry = service.journal.get("job-2")
            assert entry is not None
            assert entry.deaths == 0

    run(scenario())


@pytest.mark.fault(
    "a worker dies in the middle of a job",
    promise="the job's result tells the time of all attempts together",
)
def test_seconds_count_every_attempt(tmp_path: Path, folders: Folders) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)

    async def scenario() -> None:
        async with service_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", mixture, ("hold",)))
            await until((folders.root / "held").exists)
            await asyncio.sleep(1.5)  # the time that the first attempt takes
            os.kill(service.worker_pid, signal.SIGKILL)
            (folders.root / "hold").unlink()
            assert (await service.finished("job-1")).seconds >= 1.5

    run(scenario())
