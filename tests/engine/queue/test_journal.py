from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadJob, Failure
from engine.job import Job
from engine.queue.journal import Insertion, Journal
from engine.status import Clip, ClipKind, JobState, Status


def job(number: int = 1) -> Job:
    return Job(f"job-{number}", Path("/music/street.wav"), ("dog barking", "näin 🐕"))


def test_a_job_and_its_clips_survive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    entry = journal.accept(job())
    assert entry.status == Status("job-1", JobState.QUEUED)
    clip = Clip(Path("/clips/job-1/a.wav"), ClipKind.TARGET, "dog barking", "street - dog barking")
    done = Status("job-1", JobState.DONE, 1.0, clips=(clip,), seconds=2.0)
    journal.record(done, deaths=1)
    # Not closed: what counts is what another process finds after this one was killed.
    again = Journal(path).get("job-1")
    assert again is not None
    assert (again.job, again.status, again.deaths) == (job(), done, 1)
    journal.close()


def test_unfinished_jobs_come_back_in_the_order_of_their_acceptance(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    for number in (3, 1, 2):
        journal.accept(job(number))
    journal.record(Status("job-1", JobState.CANCELLED))
    journal.record(Status("job-2", JobState.RUNNING))
    assert [entry.job.id for entry in journal.unfinished()] == ["job-3", "job-2"]
    assert [entry.job.id for entry in journal.recent(2)] == ["job-2", "job-1"]


def test_the_same_job_twice_is_one_job_and_another_under_its_id_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    first = journal.accept(job())
    assert journal.accept(job()) == first
    with pytest.raises(BadJob, match="new id"):
        journal.accept(replace(job(), title="other"))
    assert journal.get("job-9") is None


def test_a_clip_is_claimed_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.accept(job())
    assert journal.insertion("job-1", 0) is Insertion.FREE
    assert journal.claim("job-1", 0)
    assert not journal.claim("job-1", 0)
    assert journal.claim("job-1", 1)
    journal.settle("job-1", 0, Insertion.INSERTED)
    assert not journal.claim("job-1", 0)
    assert journal.insertion("job-1", 0) is Insertion.INSERTED
    journal.settle("job-1", 1, Insertion.FREE)
    assert journal.claim("job-1", 1)
    assert journal.claim("job-1", 0, again=True)


def test_a_job_is_its_editors_until_its_end_was_attended_to(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    for number in (2, 1):
        journal.accept(job(number), attendant="audacity")
    journal.accept(job(3))
    journal.record(Status("job-2", JobState.DONE, 1.0))
    journal.close()
    journal = Journal(path)
    assert [entry.job.id for entry in journal.attended_by("audacity")] == ["job-2", "job-1"]
    journal.attend("job-2")
    journal.attend("job-2")
    assert [entry.job.id for entry in journal.attended_by("audacity")] == ["job-1"]
    assert journal.attended_by("reaper") == []
    journal.close()


def test_a_damaged_journal_is_set_aside_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is no database " * 400)
    with caplog.at_level(logging.ERROR):
        journal = Journal(path)
    journal.accept(job())
    assert len(journal.unfinished()) == 1
    (aside,) = tmp_path.glob("journal.damaged-*.sqlite")
    assert aside.read_bytes().startswith(b"this is no database")
    assert str(aside) in caplog.text


def test_a_truncated_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    for number in range(300):
        journal.accept(job(number))
    journal.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert Journal(path).unfinished() == []
    assert list(tmp_path.glob("journal.damaged-*"))


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Failure, match=r"newer Tweeze: update Tweeze"):
        Journal(path)
    assert path.exists()


def test_a_journal_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be used"):
        Journal(tmp_path / "missing" / "journal.sqlite")


def test_an_entry_that_nobody_can_read_does_not_block_the_others(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.accept(job(1))
    journal.accept(job(2))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE jobs SET job = 'rubbish' WHERE id = 'job-1'")
    database.close()
    assert [entry.job.id for entry in journal.unfinished()] == ["job-2"]
