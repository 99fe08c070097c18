"""Disks that are full or read-only, folders that are removed, a journal that is damaged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import Failure
from engine.folders import Folders
from engine.job import Job
from engine.options import Keep, Options
from engine.queue.journal import Insertion, Journal
from engine.status import JobState, Status
from tests.faults.inside import door_in, run, until
from tests.faults.resident import expected, write_noise

SIZE = 80  # MiB of the small disk; 32 stay in reserve
Tries = Callable[[int], None]


class Disk:
    """A small disk of its own, which can be filled to the last byte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700)
        mount("-t", "tmpfs", "-o", f"size={SIZE}m,mode=0700", "tweeze-test", str(path))

    def fill(self) -> None:
        with (self.path / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self) -> None:
        (self.path / "ballast").unlink()

    def writable(self, yes: bool) -> None:
        mount("-o", f"remount,{'rw' if yes else 'ro'}", str(self.path))

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("NO FULL DISK WAS TRIED: mounting a small one takes root")
    try:
        made = Disk(tmp_path / "disk")
    except OSError as error:
        pytest.skip(f"NO FULL DISK WAS TRIED: {error}")
    yield made
    made.close()


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "mixture.wav", 12.0, rate=44_100, channels=2)


def said(folders: Folders, id_: str) -> Status | None:
    with contextlib.suppress(OSError):
        return Status.from_text((folders.status / id_).read_text("utf-8"))
    return None


async def told(folders: Folders, id_: str) -> Status:
    """Wait until the spool says that the job has ended."""
    await until(lambda: (s := said(folders, id_)) is not None and s.state.final)
    status = said(folders, id_)
    assert status is not None
    return status


def nothing_half_written(folders: Folders, wanted: list[bytes]) -> None:
    for path in folders.root.rglob("*.wav"):
        assert path.read_bytes() in wanted, path


@pytest.mark.fault(
    "the disk is full while the mixture is decoded",
    promise="one sentence, nothing left behind; with room again the engine goes on",
)
def test_full_at_the_mixture(disk: Disk, mixture: Path, tmp_path: Path) -> None:
    folders = Folders(disk.path / "home")
    again = Job("job-3", mixture, ("dog",))
    wanted = expected([again], tmp_path / "calm")

    async def scenario() -> None:
        async with door_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", mixture, ("hold",)))
            await until((folders.root / "held").exists)
            await service.submit(Job("job-2", mixture, ("rain",)))
            assert (await service.admitted("job-2")).state is JobState.QUEUED
            service.cancel("job-1")
            disk.fill()
            (folders.root / "hold").unlink()
            await service.finished("job-1")
            disk.fill()  # what the cancelled job gave back
            status = await service.finished("job-2")
            assert status.state is JobState.FAILED
            assert status.message.endswith("is full: free some space and try again.")
            assert not (folders.clips / "job-2").exists()
            disk.free()
            await service.submit(again)
            status = await service.finished("job-3")
            assert [clip.path.read_bytes() for clip in status.clips] == wanted["job-3"]
            await told(folders, "job-2")

    run(scenario())


@pytest.mark.fault(
    "the disk is full while a clip is written, and stays full at the job's end",
    promise="one sentence, nothing half-written, told when there is room; the engine goes on",
)
def test_full_at_the_clip(disk: Disk, mixture: Path, tmp_path: Path) -> None:
    folders = Folders(disk.path / "home")
    job = Job("job-1", mixture, ("hold",), Options(keep=Keep.BOTH))
    wanted = expected([job], tmp_path / "calm")["job-1"]

    async def scenario() -> None:
        async with door_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(job)
            await until((folders.root / "held").exists)
            disk.fill()
            nothing_half_written(folders, wanted)
            (folders.root / "hold").unlink()
            status = await service.finished("job-1")
            assert status.state is JobState.FAILED
            assert status.message.endswith("is full: free some space and try again.")
            assert not (folders.clips / "job-1").exists()
            disk.fill()
            disk.free()
            assert (await told(folders, "job-1")).message == status.message
            await service.submit(Job("job-2", mixture, ("hold",), Options(keep=Keep.BOTH)))
            status = await service.finished("job-2")
            assert [clip.path.read_bytes() for clip in status.clips] == wanted
            await until(lambda: state(folders, "job-1") is JobState.FAILED)

    run(scenario())


def state(folders: Folders, id_: str) -> JobState | None:
    """What a process after a crash would find in the journal."""
    journal = Journal(folders.journal)
    try:
        entry = journal.get(id_)
        return entry.status.state if entry else None
    finally:
        journal.close()


@pytest.mark.fault(
    "the disk is full when a job is to be entered in the journal",
    promise="nothing is promised: a sentence; with room again the same job is taken",
)
def test_full_at_the_journal(disk: Disk, mixture: Path) -> None:
    folders = Folders(disk.path / "home")

    async def scenario() -> None:
        async with door_in(folders) as service:
            disk.fill()
            refused: Failure | None = None
            for number in range(2000):  # the journal's file may have room inside for some
                try:
                    await service.submit(Job(f"full-{number}", mixture, ("dog" * 90,)))
                except Failure as error:
                    refused = error
                    break
                status = await service.admitted(f"full-{number}")
                assert status.state is JobState.FAILED
                assert "free some space" in status.message
            assert refused is not None, "the journal was never full"
            assert "check that its disk has room" in str(refused)
            assert service.journal.get(f"full-{number}") is None
            disk.free()
            job = Job(f"full-{number}", mixture, ("dog",))
            await service.submit(job)
            assert (await service.finished(job.id)).state is JobState.DONE

    run(scenario())


@pytest.mark.fault(
    "the disk is full when a job's end is to be recorded and told",
    promise="journal and status are written as soon as there is room; nothing is done twice",
)
def test_full_at_the_status(disk: Disk, mixture: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"  # on another disk, so that the clip itself has room
    clips.mkdir(mode=0o700)
    folders = Folders(disk.path / "home")
    folders.make()
    folders.clips.rmdir()
    job = Job("job-1", mixture, ("hold",))
    wanted = expected([job], tmp_path / "calm")["job-1"]
    mounted = False

    async def scenario() -> None:
        nonlocal mounted
        folders.clips.mkdir(mode=0o700)
        mount("--bind", str(clips), str(folders.clips))
        mounted = True
        async with door_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(job)
            await until((folders.root / "held").exists)
            for _ in range(20):
                disk.fill()
                with contextlib.suppress(Failure):
                    await service.submit(Job(f"fill-{_}", mixture, ("dog" * 90,)))
            disk.fill()
            (folders.root / "hold").unlink()
            status = await service.finished("job-1")
            assert [clip.path.read_bytes() for clip in status.clips] == wanted
            await asyncio.sleep(0.3)
            before = said(folders, "job-1")
            assert before is None or before.state is not JobState.DONE, "there was room"
            disk.free()
            assert (await told(folders, "job-1")).state is JobState.DONE
            await until(lambda: state(folders, "job-1") is JobState.DONE)

    try:
        run(scenario())
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folders.clips)], check=True)


@pytest.mark.fault(
    "Tweeze's folder becomes read-only (remounted) in the middle of a job, and writable again",
    promise="one sentence, nothing half-written; afterwards the engine goes on",
)
def test_read_only(disk: Disk, mixture: Path, tmp_path: Path) -> None:
    folders = Folders(disk.path / "home")
    job = Job("job-2", mixture, ("dog",))
    wanted = expected([job], tmp_path / "calm")["job-2"]
    clips = tmp_path / "clips"
    clips.mkdir(mode=0o700)

    async def scenario() -> None:
        folders.make()
        mount("--bind", str(clips), str(folders.clips))
        try:
            async with door_in(folders):
                mount("-o", "remount,bind,ro", str(folders.clips))
                (folders.jobs / "job-1").write_text(Job("job-1", mixture, ("dog",)).to_text())
                status = await told(folders, "job-1")
                assert status.state is JobState.FAILED
                assert "Read-only file system" in status.message
                assert "check the disk and try again" in status.message
                mount("-o", "remount,bind,rw", str(folders.clips))
                (folders.jobs / "job-2").write_text(job.to_text())
                status = await told(folders, "job-2")
                assert [clip.path.read_bytes() for clip in status.clips] == wanted
        finally:
            subprocess.run(["umount", "-l", str(folders.clips)], check=True)

    run(scenario())


@pytest.mark.fault(
    "the whole home folder is read-only for a while (journal, spool and all)",
    promise="a job fails with a sentence; writable again, everything goes on and is told",
)
def test_all_read_only(disk: Disk, mixture: Path) -> None:
    folders = Folders(disk.path / "home")

    async def scenario() -> None:
        async with door_in(folders) as service:
            # nobody may have a file open for writing when a disk is remounted: take a bind mount
            mount("--bind", str(folders.root), str(folders.root))
            mount("-o", "remount,bind,ro", str(folders.root))
            try:
                # what was opened before can still be written; nothing else can
                await service.submit(Job("job-1", mixture, ("dog",)))
                status = await service.finished("job-1")
                assert status.state is JobState.FAILED
                assert "Read-only file system" in status.message
            finally:
                subprocess.run(["umount", "-l", str(folders.root)], check=True)
            await service.submit(Job("job-2", mixture, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE
            for name in ("job-1", "job-2"):
                await told(folders, name)

    run(scenario())


@pytest.mark.fault(
    "the spool folder is deleted while a job runs and others wait",
    promise="it is made anew, every job ends, and statuses that were told are told again",
)
def test_spool_deleted(tmp_path: Path, mixture: Path, tries: Tries) -> None:
    folders = Folders(tmp_path / "home")
    rounds = 3

    async def scenario() -> None:
        async with door_in(folders) as service:
            await service.submit(Job("ended", mixture, ("dog",)))
            await service.finished("ended")
            for number in range(rounds):
                (folders.root / "hold").touch()
                running, waiting = f"running-{number}", f"waiting-{number}"
                await service.submit(Job(running, mixture, ("hold",)))
                await service.submit(Job(waiting, mixture, ("dog",)))
                await until((folders.root / "held").exists)
                (folders.root / "held").unlink()
                shutil.rmtree(folders.spool)
                await until(lambda name=waiting: said(folders, name))  # type: ignore[misc]
                (folders.root / "hold").unlink()
                for name in (running, waiting, "ended"):
                    assert (await told(folders, name)).state is JobState.DONE
            (folders.jobs / "later").write_text(Job("later", mixture, ("dog",)).to_text())
            assert (await told(folders, "later")).state is JobState.DONE

    run(scenario())
    tries(rounds)


@pytest.mark.fault(
    "the folder of a running job is deleted",
    promise="the job ends, done or with a sentence, and the next goes on",
)
def test_clips_deleted(tmp_path: Path, mixture: Path) -> None:
    folders = Folders(tmp_path / "home")

    async def scenario() -> None:
        async with door_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", mixture, ("hold",)))
            await until((folders.root / "held").exists)
            shutil.rmtree(folders.clips)
            (folders.root / "hold").unlink()
            status = await service.finished("job-1")
            assert status.state is JobState.FAILED
            assert "Writing to" in status.message
            await service.submit(Job("job-2", mixture, ("dog",)))
            status = await service.finished("job-2")
            assert status.state is JobState.DONE, status

    run(scenario())


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            side = Path(f"{path}{suffix}")
            with side.open("r+b") as file:
                file.write(b"\xff" * side.stat().st_size)


def exchange(path: Path) -> None:
    remove(path)
    path.write_bytes(b"no journal at all" * 300)


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def cut(path: Path) -> None:
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            os.truncate(f"{path}{suffix}", 0)


@pytest.mark.fault(
    "the journal is overwritten, exchanged, removed or cut off while jobs run and wait",
    promise="it is set aside and built anew, that is said, and every accepted job still ends",
)
@pytest.mark.parametrize(
    "damage",
    [
        scribble,
        exchange,
        remove,
        cut,
    ],
)
def test_journal_damaged(
    tmp_path: Path,
    mixture: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folders = Folders(tmp_path / "home")

    async def scenario() -> None:
        async with door_in(folders) as service:
            service.journal.accept(Job("inserted", mixture, ("dog",)))
            service.journal.record(Status("inserted", JobState.DONE, 1.0))
            service.journal.claim("inserted", 0)
            (folders.root / "hold").touch()
            for name in ("running", "waiting"):
                await service.submit(Job(name, mixture, ("hold",)))
            await until((folders.root / "held").exists)
            with caplog.at_level(logging.ERROR):
                damage(folders.journal)
                status = await service.submit(Job("new", mixture, ("dog",)))
            assert status.state is JobState.QUEUED
            known = {entry.job.id for entry in service.journal.unfinished()}
            assert known == {"running", "waiting", "new"}
            assert "it was built anew" in caplog.text
            (folders.root / "hold").unlink()
            for name in ("running", "waiting", "new"):
                assert (await service.finished(name)).state is JobState.DONE
            if damage in (exchange, remove):  # the old file could still be read
                assert service.journal.insertion("inserted", 0) is Insertion.CLAIMED

    run(scenario())
    if damage is exchange:
        assert list(folders.root.glob("journal.damaged-*"))
    again = Journal(folders.journal)  # what the next engine finds
    assert {e.status.state for e in again.recent() if e.job.id != "inserted"} == {JobState.DONE}
    again.close()


@pytest.mark.fault(
    "the journal is damaged while the engine is away",
    promise="it is set aside and begun anew, that is said; waiting clients hear of their jobs",
)
def test_journal_damaged_between(tmp_path: Path, mixture: Path) -> None:
    folders = Folders(tmp_path / "home")

    async def first() -> None:
        async with door_in(folders) as service:
            (folders.root / "hold").touch()
            await service.submit(Job("job-1", mixture, ("hold",)))
            await until((folders.root / "held").exists)
            await until(lambda: said(folders, "job-1"))

    async def second() -> None:
        async with door_in(folders) as service:
            status = await told(folders, "job-1")
            assert status.state is JobState.FAILED
            assert "ask for it again" in status.message
            await service.submit(Job("job-2", mixture, ("dog",)))
            assert (await service.finished("job-2")).state is JobState.DONE

    run(first())
    (folders.root / "hold").unlink()
    scribble(folders.journal)
    run(second())
    assert list(folders.root.glob("journal.damaged-*"))
