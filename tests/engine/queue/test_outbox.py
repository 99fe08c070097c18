from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from engine.errors import Failure
from engine.job import Job
from engine.queue.journal import Insertion, Journal
from engine.queue.outbox import Outbox
from engine.status import JobState, Status

DONE = Status("job-1", JobState.DONE, 1.0)


class Refusing(Journal):
    """Cannot be written while it `refuses`."""

    refuses = False

    def _change(self, *statements: tuple[str, tuple[object, ...]]) -> int:
        if self.refuses:
            raise Failure("The journal cannot be used (disk full).")
        return super()._change(*statements)


@pytest.fixture
def journal(tmp_path: Path) -> Refusing:
    journal = Refusing(tmp_path / "journal.sqlite")
    for number in (1, 2):
        job = Job(f"job-{number}", Path("/music/street.wav"), ("dog",))
        journal.accept(job, attendant="audacity")
    return journal


def state(journal: Journal, id_: str) -> JobState:
    entry = journal.get(id_)
    assert entry is not None
    return entry.status.state


def test_what_the_journal_takes_is_written_at_once(journal: Refusing) -> None:
    outbox = Outbox(journal)
    outbox.record(DONE, deaths=1)
    assert journal.claim("job-1", 0)
    outbox.settle("job-1", 0, Insertion.INSERTED)
    outbox.attend("job-1")
    assert state(journal, "job-1") is JobState.DONE
    assert journal.insertion("job-1", 0) is Insertion.INSERTED
    assert [entry.job.id for entry in journal.attended_by("audacity")] == ["job-2"]
    assert outbox.status("job-1") is None


def test_what_it_refuses_is_kept_and_written_later_in_order(
    journal: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(journal)
    assert journal.claim("job-1", 0)
    journal.refuses = True
    with caplog.at_level(logging.INFO, "tweeze.journal"):
        outbox.record(Status("job-1", JobState.RUNNING), deaths=0)
        outbox.record(DONE, deaths=1)
        outbox.settle("job-1", 0, Insertion.FREE)
        outbox.attend("job-1")
        outbox.record(Status("job-2", JobState.CANCELLED), deaths=0)
        assert not outbox.flush()
        assert outbox.status("job-1") == DONE
        assert state(journal, "job-1") is JobState.QUEUED
        assert journal.insertion("job-1", 0) is Insertion.CLAIMED
        journal.refuses = False
        assert outbox.flush()
    assert outbox.status("job-1") is None
    assert (state(journal, "job-1"), state(journal, "job-2")) == (DONE.state, JobState.CANCELLED)
    assert journal.insertion("job-1", 0) is Insertion.FREE
    assert [entry.job.id for entry in journal.attended_by("audacity")] == ["job-2"]
    assert caplog.text.count("written down later") == 1
    assert caplog.text.count("has taken what it could not take") == 1


def test_threads_write_each_thing_once(journal: Refusing) -> None:
    outbox = Outbox(journal)
    written: list[int] = []
    plain = journal.record

    def record(status: Status, *, deaths: int | None = None) -> None:
        plain(status, deaths=deaths)
        written.append(deaths or 0)

    journal.record = record  # type: ignore[method-assign]
    journal.refuses = True
    for number in range(20):
        outbox.record(DONE, deaths=number)
    journal.refuses = False
    threads = [threading.Thread(target=outbox.flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == list(range(20))
