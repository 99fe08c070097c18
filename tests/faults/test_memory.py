"""Too little memory: shorter segments are tried, then a sentence is said."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.folders import Folders
from engine.job import Job
from engine.models.cache import ModelCache
from engine.options import Options, Presence
from engine.queue import worker
from engine.sound.memory import reduced
from engine.sound.segments import plan
from engine.sound.separate import separate
from engine.status import JobState, Status
from tests.faults import standin
from tests.faults.inside import run, service_in, until
from tests.faults.resident import expected, write_noise

Tries = Callable[[int], None]
CGROUP = Path("/sys/fs/cgroup/memory")


def virtual_size() -> int:
    (kib,) = re.findall(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kib) * 1024


def cramped(connection: Connection, folders: Folders) -> None:
    """A worker with `compact`, which after loading gets as much memory as `room` says."""
    import resource

    room = int((folders.root / "room").read_text())
    plain = ModelCache.fetch

    def fetch(self: Any, *arguments: Any) -> Any:
        found = plain(self, *arguments)
        resource.setrlimit(resource.RLIMIT_AS, (virtual_size() + room, resource.RLIM_INFINITY))
        return found

    ModelCache.fetch = fetch  # type: ignore[method-assign]
    worker.main(connection, folders)


def skip_elsewhere() -> None:
    if sys.platform != "linux":
        pytest.skip("NO SCARCE MEMORY WAS TRIED: only Linux limits what a process gets and says it")


def compact_alone(job: Job, folder: Path) -> np.ndarray:
    from engine import models

    calm = Folders(folder)
    calm.make()
    (clip,) = separate(replace(job, id="calm"), models.load("compact", calm), folder / "calm")
    return soundfile.read(clip.path, dtype="float32", always_2d=True)[0]


@pytest.mark.fault(
    "the worker's memory is limited (RLIMIT_AS) so that compact's usual segments find none",
    promise="the job is done in shorter segments, equal to float rounding (1e-6 of peak)",
)
def test_compact_in_little_memory(tmp_path: Path, folders: Folders) -> None:
    skip_elsewhere()
    mixture = write_noise(tmp_path / "mixture.wav", 20.4, rate=32_000)  # one segment, the longest
    job = Job("job-1", mixture, ("dog",), Options(model="compact", presence=Presence.SEPARATOR))
    wanted = compact_alone(job, tmp_path / "calm")
    least, most = 60, 300  # MiB; how much is little depends on the machine
    for number in range(7):
        room = (least + most) // 2
        status = _in_room(folders, replace(job, id=f"job-{number}"), room << 20)
        shortened = (folders.root / "noted").read_text() != "0"
        if status.state is JobState.FAILED:
            assert "not enough memory" in status.message, status
            least = room
        elif not shortened:
            most = room
        else:
            break
    assert status.state is JobState.DONE, status
    assert shortened, "there was no room in which the usual segments failed and others did not"
    got = soundfile.read(status.clips[0].path, dtype="float32", always_2d=True)[0]
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()


def _in_room(folders: Folders, job: Job, room: int) -> Status:
    """Do a job with `compact`, in so many bytes beyond what the loaded model takes."""
    (folders.root / "room").write_text(str(room))
    found: list[Status] = []

    async def scenario() -> None:
        async with service_in(folders, worker_main=cramped) as service:
            noted = folders.clips / job.id / "work" / "reduction"
            seen = 0

            def look(status: Status) -> None:
                nonlocal seen
                if noted.exists():
                    seen = max(seen, int(noted.read_text() or 0))

            service.subscribe(look)
            await service.submit(job)
            found.append(await service.finished(job.id))
            (folders.root / "noted").write_text(str(seen))
            entry = service.journal.get(job.id)
            assert entry is not None
            assert entry.deaths <= 1, "more than one fresh worker was tried"

    run(scenario())
    return found[0]


@pytest.mark.fault(
    "the worker's memory is limited so far that not even the shortest segments find any",
    promise="the job fails with one sentence; worker and engine go on",
)
def test_compact_in_no_memory(tmp_path: Path, folders: Folders) -> None:
    skip_elsewhere()
    mixture = write_noise(tmp_path / "mixture.wav", 10.0, rate=32_000)
    status = _in_room(folders, Job("job-1", mixture, ("dog",)), 8 << 20)
    assert status.state is JobState.FAILED
    assert "not enough memory to separate 'mixture.wav'" in status.message
    assert "close other programs" in status.message
    assert not (folders.clips / "job-1").exists()


@pytest.mark.fault(
    "the model finds no memory for long segments (MemoryError, torch's RuntimeError)",
    promise="shorter ones are tried in the same process; the bytes are the same",
)
@pytest.mark.parametrize("kind", ["python", "torch"])
def test_errors_of_memory(tmp_path: Path, folders: Folders, kind: str) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    hungry = Job("hungry", mixture, (f"hungry {kind}",))
    starved = Job("starved", mixture, (f"starved {kind}",))

    async def scenario() -> None:
        async with service_in(folders) as service:
            await service.submit(hungry)
            status = await service.finished("hungry")
            assert status.state is JobState.DONE, status
            lengths = segments(folders)
            assert lengths[0] > 32
            assert max(lengths[1:]) == 16
            entry = service.journal.get("hungry")
            assert entry is not None
            assert entry.deaths == 0, "it took another process"
            await service.submit(starved)
            status = await service.finished("starved")
            assert status.state is JobState.FAILED
            assert "not enough memory to separate 'mixture.wav'" in status.message
            assert not (folders.clips / "starved").exists()
            await service.submit(Job("next", mixture, ("dog",)))
            assert (await service.finished("next")).state is JobState.DONE
            (clip,) = (folders.clips / "hungry").glob("*.wav")
            assert clip.read_bytes() == in_long_segments(hungry, tmp_path / "apart")

    run(scenario())


def in_long_segments(job: Job, folder: Path) -> bytes:
    """What the same model gives that is never hungry."""

    class Fed(standin.Model):
        def mask(self, *arguments: Any) -> Any:
            self._query = ""
            return super().mask(*arguments)

    folder.mkdir()
    (clip,) = separate(job, Fed(Folders(folder)), folder / "clip")
    return clip.path.read_bytes()


def segments(folders: Folders) -> list[int]:
    return [int(line) for line in (folders.root / "segments").read_text().split()]


@pytest.mark.fault(
    "the worker is killed from outside, as by an OOM killer, in the middle of a job",
    promise="the next attempt goes on with shorter segments, to the same bytes",
)
@pytest.mark.parametrize("how", ["kill -9", "the kernel"])
def test_killed_for_memory(tmp_path: Path, folders: Folders, how: str) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    job = Job("job-1", mixture, ("hold gorge",))
    group = CGROUP / f"tweeze-test-{os.getpid()}"
    if how == "the kernel":
        try:
            group.mkdir()
        except OSError as error:
            pytest.skip(f"NO REAL OOM KILLER WAS TRIED: no memory control group ({error})")
    else:
        job = replace(job, queries=("hold",))
    wanted = expected([job], tmp_path / "calm")

    async def scenario() -> None:
        async with service_in(folders) as service:
            (folders.root / "hold-load").touch()
            (folders.root / "hold").touch()
            await service.submit(job)
            await until((folders.root / "loading").exists)
            pid = service.worker_pid
            if how == "the kernel":
                (group / "cgroup.procs").write_text(str(pid))
            (folders.root / "hold-load").unlink()
            await until((folders.root / "held").exists)
            before = len(segments(folders))
            if how == "kill -9":
                os.kill(pid, signal.SIGKILL)
            else:
                usage = int((group / "memory.usage_in_bytes").read_text())
                (group / "memory.limit_in_bytes").write_text(str(usage + (64 << 20)))
            (folders.root / "hold").unlink()
            status = await service.finished("job-1")
            assert status.state is JobState.DONE, status
            assert service.worker_pid not in (0, pid)
            assert [clip.path.read_bytes() for clip in status.clips] == wanted["job-1"]
            lengths = segments(folders)
            assert max(lengths[:before]) > max(lengths[before + (how != "kill -9") :])
            entry = service.journal.get("job-1")
            assert entry is not None
            assert entry.deaths == 1
            if how == "the kernel":
                said = (group / "memory.oom_control").read_text()
                assert "oom_kill 1" in said, said

    try:
        run(scenario())
    finally:
        if group.exists():
            group.rmdir()


@pytest.mark.parametrize("frames", [1, 100, 1024, 3000, 10_007])
def test_a_reduced_plan_depends_on_the_length_alone_and_keeps_every_cut(frames: int) -> None:
    frame_grid = standin.Model.frame_grid
    usual = plan(frames, frame_grid)
    for steps in (1, 2, 5):
        shorter = plan(frames, frame_grid, steps)
        assert {s.stop for s in usual} <= {s.stop for s in shorter}
        assert [s.start for s in shorter] == [0, *(s.stop for s in shorter[:-1])]
        assert shorter[-1].stop == frames
        assert max(s.stop - s.start for s in shorter) <= reduced(64, 16, 16, steps)
        for s in shorter:
            assert s.start % frame_grid.block == s.first % frame_grid.block == 0
            assert s.first <= max(0, s.start - frame_grid.context)
            assert s.last >= min(frames, s.stop + frame_grid.context)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders  # type: ignore[return-value]
