"""Clean-up by age and size, against everything that it must not touch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bridge.doors import statuses
from engine.folders import Folders
from engine.job import Job
from engine.queue.cleaning import Keeping, clean
from engine.queue.journal import Insertion, Journal
from engine.status import Clip, ClipKind, JobState, Status
from tests.faults.inside import door_in, run, service_in, until
from tests.faults.resident import write_noise

DAY = 24 * 3600.0


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders


def made(
    folders: Folders, journal: Journal, id_: str, state: JobState, *, days: float, size: int = 1000
) -> Path:
    """A job that came to `state` so many days ago, with its folder."""
    folder = folders.clips / id_
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "0.part").write_bytes(b"x" * 10)
    clips: tuple[Clip, ...] = ()
    if state is JobState.DONE:
        (folder / "a.wav").write_bytes(b"x" * size)
        clips = (Clip(folder / "a.wav", ClipKind.TARGET, "dog", "a"),)
    journal.accept(Job(id_, folders.mixtures / f"{id_}.wav", ("dog",)))
    journal.record(Status(id_, state, clips=clips))
    (folders.mixtures / f"{id_}.wav").write_bytes(b"x")
    long_ago = time.time() - days * DAY
    journal._change(("UPDATE jobs SET changed = ? WHERE id = ?", (long_ago, id_)))
    for path in (folder, folders.mixtures / f"{id_}.wav"):
        os.utime(path, (long_ago, long_ago))
    return folder


@pytest.mark.fault(
    "clips grow old, and take more room than they may",
    promise="the oldest that nobody fetched go; none that is unfinished or in a project is touched",
)
@pytest.mark.parametrize("by", ["age", "size"])
def test_what_is_cleaned_and_what_is_not(folders: Folders, by: str) -> None:
    journal = Journal(folders.journal)
    goes = made(folders, journal, "old", JobState.DONE, days=40)
    keeps = {
        "young": made(folders, journal, "young", JobState.DONE, days=0),
        "inserted": made(folders, journal, "inserted", JobState.DONE, days=400),
        "doubtful": made(folders, journal, "doubtful", JobState.DONE, days=400),
        "queued": made(folders, journal, "queued", JobState.QUEUED, days=400),
        "running": made(folders, journal, "running", JobState.RUNNING, days=400),
    }
    newer = made(folders, journal, "newer", JobState.DONE, days=20)
    failed = made(folders, journal, "failed", JobState.FAILED, days=1)
    for name in ("inserted", "doubtful"):
        assert journal.claim(name, 0)
    journal.settle("inserted", 0, Insertion.INSERTED)
    before = {name: sorted(p.name for p in f.rglob("*")) for name, f in keeps.items()}
    keeping = Keeping(seconds=30 * DAY) if by == "age" else Keeping(seconds=1e12, size=1500)
    removed = clean(folders, journal, keeping)
    assert not goes.exists()
    assert not failed.exists(), "what a dead process left half-written stays"
    if by == "age":
        assert sorted(removed) == ["failed", "old"]
        assert newer.exists()
    else:
        assert sorted(removed) == ["failed", "newer", "old"]
    after = {name: sorted(p.name for p in f.rglob("*")) for name, f in keeps.items()}
    assert after == before
    left = {path.stem for path in folders.mixtures.iterdir()}
    assert left == {"young", "queued", "running"}
    assert clean(folders, journal, keeping) == ()
    journal.close()


@pytest.mark.fault(
    "a clip was inserted, then freed again: its insertion failed for sure",
    promise="it counts as not inserted, and goes with its age",
)
def test_a_freed_claim(folders: Folders) -> None:
    journal = Journal(folders.journal)
    folder = made(folders, journal, "job-1", JobState.DONE, days=40)
    journal.claim("job-1", 0)
    assert clean(folders, journal, Keeping()) == ()
    journal.settle("job-1", 0, Insertion.FREE)
    assert clean(folders, journal, Keeping()) == ("job-1",)
    assert not folder.exists()
    journal.close()


@pytest.mark.fault(
    "the journal that knew of clips is lost",
    promise="they may be in a project: they stay, however old and large; only scraps go",
)
@pytest.mark.parametrize("keeping", [Keeping(seconds=DAY), Keeping(seconds=1e12, size=1)])
def test_clips_that_nobody_knows(folders: Folders, keeping: Keeping) -> None:
    journal = Journal(folders.journal)
    clips = made(folders, journal, "job-1", JobState.DONE, days=400)
    scraps = made(folders, journal, "job-2", JobState.CANCELLED, days=400)
    journal.close()
    folders.journal.write_bytes(b"no journal at all" * 300)
    begun_anew = Journal(folders.journal)
    assert begun_anew.recent() == []
    assert clean(folders, begun_anew, keeping) == ("job-2",)
    assert (clips / "a.wav").exists()
    assert not scraps.exists()
    begun_anew.close()


def test_kept_masks_go_when_clips_of_their_age_do(folders: Folders) -> None:
    for name, age in (("old", 40), ("young", 20)):
        folder = folders.masks / name
        folder.mkdir(parents=True)
        (folder / "kept.json").write_text("{}")
        then = time.time() - age * 24 * 3600
        os.utime(folder, (then, then))
    journal = Journal(folders.journal)
    clean(folders, journal, Keeping())
    assert [path.name for path in folders.masks.iterdir()] == ["young"]
    journal.close()


def test_the_engine_cleans_when_it_starts(folders: Folders) -> None:
    journal = Journal(folders.journal)
    old = made(folders, journal, "old", JobState.DONE, days=40)
    young = made(folders, journal, "young", JobState.DONE, days=1)
    journal.close()

    async def scenario() -> None:
        async with service_in(folders, keeping=Keeping(seconds=30 * DAY)):
            await until(lambda: not old.exists())
            assert young.exists()

    run(scenario())


def test_a_link_among_the_clips_is_removed_and_not_followed(folders: Folders) -> None:
    precious = folders.root / "precious"
    precious.mkdir()
    (precious / "song.wav").write_bytes(b"x")
    link = folders.clips / "link"
    link.symlink_to(precious)
    long_ago = time.time() - 400 * DAY
    os.utime(link, (long_ago, long_ago), follow_symlinks=False)
    journal = Journal(folders.journal)
    clean(folders, journal, Keeping())
    journal.close()
    assert not link.is_symlink()
    assert (precious / "song.wav").exists()


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Keeping.of_environment() == Keeping()
    monkeypatch.setenv("TWEEZE_KEEP_DAYS", "2")
    monkeypatch.setenv("TWEEZE_KEEP_GB", "0.5")
    assert Keeping.of_environment() == Keeping(2 * DAY, 5e8)
    monkeypatch.setenv("TWEEZE_KEEP_DAYS", "")
    assert Keeping.of_environment().seconds == Keeping().seconds


@pytest.mark.fault(
    "thousands of jobs leave their statuses in the spool",
    promise="the youngest stay, and all of jobs that go on; the folder does not grow",
)
def test_statuses_do_not_pile_up(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "STATUSES", 5)
    journal = Journal(folders.journal)
    (folders.root / "hold").touch()
    mixture = write_noise(folders.root / "mixture.wav", 10.0)
    journal.accept(Job("goes-on", mixture, ("hold",)))
    journal.close()
    for number in range(20):
        path = folders.status / f"job-{number:02}"
        path.write_text(Status(path.name, JobState.DONE).to_text())
        long_ago = time.time() - 3600 + number
        os.utime(path, (long_ago, long_ago))
    (folders.status / "goes-on").write_text(Status("goes-on", JobState.QUEUED).to_text())
    os.utime(folders.status / "goes-on", (1, time.time() - 7200))

    async def scenario() -> None:
        async with door_in(folders):
            await until(lambda: not (folders.status / "job-14").exists())
            assert (folders.status / "goes-on").exists()
            left = {path.name for path in folders.status.iterdir()} - {"goes-on"}
            assert left == {f"job-{number}" for number in range(15, 20)}

    run(scenario())
