"""The engine's folder goes away under it: there are never two engines on one spool."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import client as client_module
from engine.errors import EngineUnreachable
from engine.folders import Folders
from engine.job import Job
from engine.queue.lock import ProcessLock, holder
from engine.status import JobState
from tests.faults.resident import ROOT, Resident, expected, resident, until, write_noise
from tests.faults.test_disk import Disk, disk

__all__ = ["disk"]  # a fixture

SENTENCE = "was removed, moved or exchanged, so its engine ended: "


def delete(root: Path) -> Path | None:
    while root.exists():  # the engine goes on writing into it for a moment
        shutil.rmtree(root, ignore_errors=True)
    return None


def rename(root: Path) -> Path | None:
    return root.rename(root.with_name("moved"))


def exchange(root: Path) -> Path | None:
    moved = root.rename(root.with_name("moved"))
    Folders(root).make()
    return moved


def redirect(root: Path) -> Path | None:
    """Have the link above the folder lead to another place, in which there is one as well."""
    link = root.parent
    old = link.resolve()
    Folders(old.with_name("elsewhere") / root.name).make()
    other = link.with_name("other-link")
    other.symlink_to(old.with_name("elsewhere"))
    other.rename(link)
    return old / root.name


@pytest.mark.fault(
    "the engine's folder is deleted, renamed or exchanged, or a link above it is redirected, "
    "while jobs run",
    promise="the engine ends, says so and touches nothing there; another one can start at once",
)
@pytest.mark.parametrize("how", [delete, rename, exchange, redirect])
def test_the_folder_goes_away(tmp_path: Path, how: Callable[[Path], Path | None]) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "place")
    root = tmp_path / "link" / "home"
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    with resident(root) as old:
        (root / "hold").touch()
        for name in ("job-1", "job-2"):
            old.client.submit(Job(name, mixture, ("hold",)))
        until((root / "held").exists, "the running job")
        until(lambda: (b := old.beat()) is not None and b.queue == 1, "the waiting job")
        before = old.worker()
        moved = how(root)
        assert old.process is not None
        assert old.process.wait(60) == 1
        until(lambda: not _runs(before), "the worker's end")
        if moved is not None:
            assert SENTENCE in (moved / "engine.log").read_text("utf-8")
        if how in (exchange, redirect):
            found = {p.name for p in root.rglob("*") if not p.is_dir()}
            assert found == set(), "the old engine wrote into a folder that is not its own"
        else:
            assert not root.exists(), "the old engine made its folder again"
        with resident(root) as new:
            new.client.submit(Job("job-3", mixture, ("dog",)))
            assert new.final("job-3").state is JobState.DONE
            assert {entry.name for entry in new.folders.status.iterdir()} == {"job-3"}


@pytest.mark.fault(
    "the disk with the engine's folder is unmounted while a job runs, and mounted again",
    promise="the engine ends and makes nothing in the mount point; the next one goes on",
)
def test_the_disk_goes_away(disk: Disk, tmp_path: Path) -> None:
    root = disk.path / "home"
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    job = Job("job-1", mixture, ("hold",))
    wanted = expected([job], tmp_path / "calm")["job-1"]
    kept = tmp_path / "kept"
    kept.mkdir()
    subprocess.run(["mount", "--bind", str(disk.path), str(kept)], check=True)
    try:
        with resident(root) as old:
            (root / "hold").touch()
            old.client.submit(job)
            until((root / "held").exists, "the running job")
            subprocess.run(["umount", "-l", str(disk.path)], check=True)
            assert old.process is not None
            assert old.process.wait(60) == 1
            assert list(disk.path.iterdir()) == []
            subprocess.run(["mount", "--bind", str(kept), str(disk.path)], check=True)
            (root / "hold").unlink()
            with resident(root) as new:
                status = new.final("job-1")
                assert [clip.path.read_bytes() for clip in status.clips] == wanted
    finally:
        subprocess.run(["umount", "-l", str(kept)], check=True)


@pytest.mark.fault(
    "the engine's lock file is removed while jobs run",
    promise="it takes the lock anew and says so; its jobs end in the same bytes",
)
def test_the_lock_file_is_removed(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "home")
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    job = Job("job-1", mixture, ("hold",))
    wanted = expected([job], tmp_path / "calm")["job-1"]
    with resident(folders.root) as engine:
        assert engine.process is not None
        (folders.root / "hold").touch()
        engine.client.submit(job)
        until((folders.root / "held").exists, "the running job")
        for _ in range(3):
            folders.lock.unlink()
            until(lambda: holder(folders.lock) == engine.process.pid, "the new lock")  # type: ignore[union-attr]
        (folders.root / "hold").unlink()
        status = engine.final("job-1")
        assert [clip.path.read_bytes() for clip in status.clips] == wanted
        assert "Somebody removed the lock file" in engine.log()


@pytest.mark.fault(
    "the lock file is removed, and another engine is started in the same moment",
    promise="one of the two ends, whichever; every job is done once, in the same bytes",
)
@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3])
def test_two_engines_at_once(tmp_path: Path, wait: float) -> None:
    folders = Folders(tmp_path / "home")
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    jobs = [Job(f"job-{number}", mixture, ("dog slow",)) for number in range(4)]
    wanted = expected(jobs, tmp_path / "calm")
    with resident(folders.root) as old:
        for job in jobs:
            old.client.submit(job)
        until(lambda: (b := old.beat()) is not None and b.running, "the running job")
        folders.lock.unlink()
        time.sleep(wait)  # the moments in which a start can meet the old engine
        other = Resident(folders)
        try:
            other.start()
            until(lambda: not (old.runs() and other.runs()), "the end of one")
            survivor = old if old.runs() else other
            for id_, contents in wanted.items():
                status = survivor.final(id_)
                assert status.state is JobState.DONE, status
                assert [clip.path.read_bytes() for clip in status.clips] == contents
            assert survivor.process is not None
            assert holder(folders.lock) == survivor.process.pid
            until(lambda: (b := survivor.beat()) and b.pid == survivor.process.pid)  # type: ignore[union-attr]
        finally:
            other.stop()


@pytest.mark.fault(
    "what an engine said of a job is lost with its folder, and a program waits for the job's end",
    promise="the program hears within half a minute that the engine no longer knows the job",
)
def test_a_status_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_TAKEN", 1.0)
    folders = Folders(tmp_path / "home")
    mixture = write_noise(tmp_path / "mixture.wav", 10.0)
    with resident(folders.root) as engine:
        (folders.root / "hold").touch()
        engine.client.submit(Job("job-1", mixture, ("hold",)))
        until((folders.root / "held").exists, "the running job")
        heard = []

        def hear(status: object) -> None:
            heard.append(status)
            (folders.status / "job-1").unlink()

        with pytest.raises(EngineUnreachable, match="lost job job-1"):
            engine.client.follow("job-1", hear)
        assert heard
        (folders.root / "hold").unlink()


def test_a_lock_knows_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    lock, other = ProcessLock(folder / "lock"), ProcessLock(folder / "lock")
    assert not lock.holds()
    assert lock.take()
    assert lock.holds()
    (folder / "lock").unlink()
    assert not lock.holds()
    taken = "import sys; from pathlib import Path; from engine.queue.lock import ProcessLock\n"
    taken += (
        "lock = ProcessLock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", taken, str(folder / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as quicker:
        assert quicker.stdout is not None
        assert quicker.stdout.readline() == "True\n"
        assert not lock.renew()
        assert not lock.holds()
        assert holder(folder / "lock") == quicker.pid
        quicker.communicate()
    assert lock.renew()
    assert lock.holds()
    assert not other.take()
    folder.rename(tmp_path / "moved")
    assert not lock.holds()
    assert not lock.renew()
    folder.mkdir()
    assert not lock.renew(), "that is another folder"
    assert not (folder / "lock").exists()
    lock.drop()


def _runs(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
