"""Updates: what an older Tweeze left is taken over, what a newer one left is refused, and a
running engine of another version makes way when that interrupts nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import layout
from bridge.client import Client
from bridge.private import check_private
from engine.errors import Failure
from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job
from engine.queue import schema
from engine.queue.heartbeat import VERSION, Heartbeat
from engine.queue.journal import Insertion, Journal
from engine.status import JobState, Status
from tests.security.conftest import Home, until
from tests.security.old_engine import OLD
from tests.security.test_files import wav

# The journal of schema 1, word for word as the first Tweeze made it.
OLD_SCHEMA = """
CREATE TABLE jobs (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance
    id       TEXT NOT NULL UNIQUE,
    job      TEXT NOT NULL,
    state    TEXT NOT NULL,
    status   TEXT NOT NULL,
    deaths   INTEGER NOT NULL DEFAULT 0,
    accepted REAL NOT NULL,                      -- seconds since 1970, as are the other times
    changed  REAL NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE TABLE insertions (
    id      TEXT NOT NULL REFERENCES jobs (id),
    clip    INTEGER NOT NULL,                    -- index in the status's clips
    state   TEXT NOT NULL,
    changed REAL NOT NULL,
    PRIMARY KEY (id, clip)
);
"""
# Its texts, in the form of that time: no sharpness, precision, context or memory.
OLD_JOB = """tweeze=1
id={id}
mixture={mixture}
query=dog barking
model=compact
keep=target
stereo=independent
bandwidth=full
title=street
client=cli-77
end
"""
OLD_STATUS = """tweeze=1
id={id}
state={state}
progress=0.0000
message=
seconds=0.000
loading=0.000
bad_input=no
end
"""
DONE_STATUS = """tweeze=1
id=old-done
state=done
progress=1.0000
message=
seconds=2.000
loading=0.000
bad_input=no
clip=/clips/old-done/street - dog barking.wav
kind=target
query=dog barking
name=street - dog barking
end
"""


def write_old_journal(path: Path, mixture: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(f"{OLD_SCHEMA} PRAGMA user_version = 1;")
    states = {"old-done": "done", "old-running": "running", "old-queued": "queued"}
    for id_, state in states.items():
        job = OLD_JOB.format(id=id_, mixture=mixture)
        status = DONE_STATUS if state == "done" else OLD_STATUS.format(id=id_, state=state)
        database.execute(
            "INSERT INTO jobs (id, job, state, status, deaths, accepted, changed) "
            "VALUES (?, ?, ?, ?, 1, 1700000000.5, 1700000001.5)",
            (id_, job, state, status),
        )
    database.execute("INSERT INTO insertions VALUES ('old-done', 0, 'inserted', 1700000002.5)")
    database.commit()
    database.close()


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.fault("the journal is an older Tweeze's", promise="it is taken over with all it holds")
def test_an_older_journal_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path, Path("/music/street.wav"))
    journal = Journal(path)
    assert version_of(path) == schema.SCHEMA > 1
    assert [entry.job.id for entry in journal.unfinished()] == ["old-running", "old-queued"]
    done = journal.get("old-done")
    assert done is not None
    assert (done.deaths, done.accepted, done.changed) == (1, 1700000000.5, 1700000001.5)
    assert done.status.clips[0].name == "street - dog barking"
    assert done.job.options.sharpness == 1
    assert journal.insertion("old-done", 0) is Insertion.INSERTED
    # As good as one that was made anew.
    fresh = Journal(tmp_path / "fresh.sqlite")
    tables = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    for made in (journal, fresh):
        made.close()
    with (
        contextlib.closing(sqlite3.connect(path)) as one,
        contextlib.closing(sqlite3.connect(tmp_path / "fresh.sqlite")) as other,
    ):
        assert one.execute(tables).fetchall() == other.execute(tables).fetchall()
    # It is the same file with the same numbers: what comes next comes after.
    journal = Journal(path)
    assert journal.accept(Job("new", Path("/a.wav"), ("dog",))).number == 4
    journal.close()


@pytest.mark.fault(
    "the journal is an older Tweeze's, and jobs of Audacity are in it",
    promise="those on their way go in when they end; what had ended waits for the user, as before",
)
def test_jobs_of_audacity_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path, Path("/music/street.wav"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        place = "\nhost=audacity\nproject=a1\ntrack=T\nstart=0\nrate=44100\nmute=no\nend"
        database.execute("UPDATE jobs SET job = replace(job, char(10) || 'end', ?)", (place,))
        database.execute(
            "UPDATE jobs SET job = replace(job, 'audacity', 'reaper') WHERE id = 'old-queued'"
        )
    journal = Journal(path)
    assert [entry.job.id for entry in journal.attended_by("audacity")] == ["old-running"]
    journal.close()


@pytest.mark.fault(
    "taking over a journal breaks off in the middle", promise="it is as it was, and can be used"
)
def test_half_a_migration_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path, Path("/music/street.wav"))
    steps = (*schema.STEPS[:1], "CREATE TABLE half (a); CREATE TABLE jobs (b);")
    monkeypatch.setattr(schema, "STEPS", steps)
    with pytest.raises(Failure):
        Journal(path)
    assert version_of(path) == 1
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert "half" not in names
    monkeypatch.undo()
    journal = Journal(path)
    assert len(journal.unfinished()) == 2
    journal.close()


@pytest.mark.fault(
    "an older Tweeze left jobs, a journal, a spool and open files",
    promise="the new engine finishes its jobs",
)
def test_the_new_engine_finishes_what_an_older_one_accepted(home: Home, tmp_path: Path) -> None:
    f = home.folders
    check_private(f)
    write_old_journal(f.journal, wav(tmp_path / "street.wav"))
    (f.jobs / "old-sent").write_text(OLD_JOB.format(id="old-sent", mixture=tmp_path / "street.wav"))
    (f.status / "old-running").write_text(OLD_STATUS.format(id="old-running", state="running"))
    started = home.tweeze("start")
    assert started.returncode == 0, started.stderr
    client = Client(f)
    for id_ in ("old-running", "old-queued", "old-sent"):
        status = client.follow(id_, restart=False)
        assert status.state is JobState.DONE, status
        assert status.clips[0].path.is_file()
    assert layout._number(f) == layout.LAYOUT


@pytest.mark.fault(
    "the journal is a newer Tweeze's", promise="one sentence; not a byte of it is changed"
)
def test_a_newer_journal_is_refused_untouched(home: Home) -> None:
    check_private(home.folders)
    path = home.folders.journal
    database = sqlite3.connect(path)
    database.executescript(f"CREATE TABLE other (a); PRAGMA user_version = {schema.SCHEMA + 1};")
    database.close()
    before = path.read_bytes()
    failed = home.tweeze("start")
    assert failed.returncode == 1
    assert f"The journal {path} was written by a newer Tweeze: update Tweeze" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert path.read_bytes() == before
    assert [p.name for p in home.root.glob("journal*")] == ["journal.sqlite"]


@pytest.mark.fault("the folders are a newer Tweeze's", promise="one sentence; nothing is changed")
def test_a_newer_layout_is_refused(home: Home) -> None:
    check_private(home.folders)
    replace_text(home.root / "layout", f"tweeze=1\nlayout={layout.LAYOUT + 1}\nend\n")
    failed = home.tweeze("start")
    assert failed.returncode == 1
    assert "was laid out by a newer Tweeze: update Tweeze" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not home.folders.journal.exists()


@pytest.mark.fault("the journal is somebody else's SQLite", promise="it is set aside, not used")
@pytest.mark.parametrize("version", [0, -3, schema.SCHEMA])
def test_a_strange_database_is_set_aside(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.sqlite"
    database = sqlite3.connect(path)
    database.executescript(f"CREATE TABLE other (a); PRAGMA user_version = {version};")
    database.close()
    journal = Journal(path)
    assert journal.unfinished() == []
    journal.close()
    (aside,) = tmp_path.glob("journal.damaged-*.sqlite")
    with contextlib.closing(sqlite3.connect(aside)) as database:
        assert database.execute("SELECT count(*) FROM other").fetchone() == (0,)


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    for id_, state in (("a", JobState.DONE), ("b", JobState.RUNNING), ("c", JobState.FAILED)):
        journal.accept(Job(id_, Path("/a.wav"), ("dog",)))
        journal.record(Status(id_, state))
    journal.claim("a", 0)
    assert journal.ended_before(time.time() - 3600) == []
    assert journal.ended_before(time.time() + 1) == ["a", "c"]
    for id_ in ("a", "b", "c"):
        journal.forget(id_)
    assert [entry.job.id for entry in journal.recent()] == ["b"]
    assert journal.insertion("a", 0) is Insertion.FREE
    journal.close()


# A running engine of another version.


@pytest.fixture
def old(home: Home) -> Iterator[Home]:
    process = home.start("tests.security.old_engine")
    beat = home.beat()
    assert beat is not None
    assert beat.version == OLD != VERSION
    yield home
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, 0)
        process.kill()
    process.wait()


@pytest.mark.fault(
    "an engine of another version is idle", promise="'tweeze start' replaces it with this one"
)
def test_an_idle_engine_of_another_version_is_replaced(old: Home) -> None:
    before = old.beat()
    assert before is not None
    until(lambda: (b := old.beat()) is not None and b.idle)
    done = old.tweeze("start")
    assert (done.returncode, done.stderr) == (0, "")
    assert "has started" in done.stdout
    after = old.beat()
    assert after is not None
    assert after.version == VERSION
    assert after.pid != before.pid


@pytest.mark.fault(
    "an engine of another version is at work",
    promise="one sentence, its job goes on; it can be cancelled, and is replaced afterwards",
)
def test_a_busy_engine_of_another_version_is_left_alone(old: Home, tmp_path: Path) -> None:
    f = old.folders
    (f.root / "hold").touch()
    mixture = wav(tmp_path / "a.wav", 16_000, 160_000)
    client = Client(f)
    client.submit(Job("held", mixture, ("hold",)))
    client.submit(Job("waits", mixture, ("dog",)))
    until(lambda: (f.root / "held").exists(), "the job's start")
    until(lambda: (b := old.beat()) is not None and b.running == "held" and b.queue == 1)
    before = old.beat()
    assert before is not None
    for arguments in (("start",), ("separate", mixture, "dog", "--out", tmp_path / "out")):
        failed = old.tweeze(*arguments)
        assert failed.returncode == 1
        assert f"The engine of Tweeze {OLD} is still at work" in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    cancelled = old.tweeze("cancel", "waits")
    assert "Cancelled: 'dog'" in cancelled.stdout, cancelled.stderr
    now = old.beat()
    assert now is not None
    assert now.pid == before.pid
    (f.root / "hold").unlink()
    assert client.follow("held", restart=False).state is JobState.DONE
    until(lambda: (b := old.beat()) is not None and b.idle)
    done = old.tweeze("start")
    assert done.returncode == 0, done.stderr
    after = old.beat()
    assert after is not None
    assert after.version == VERSION


@pytest.mark.fault(
    "a busy engine of another version is stopped by hand",
    promise="the new engine finishes what the old one had accepted",
)
def test_what_the_old_engine_accepted_is_finished_by_the_new(old: Home, tmp_path: Path) -> None:
    f = old.folders
    (f.root / "hold").touch()
    mixture = wav(tmp_path / "a.wav", 16_000, 160_000)
    client = Client(f)
    for number in range(3):
        client.submit(Job(f"job-{number}", mixture, ("hold",)))
    until(lambda: (f.root / "held").exists(), "the job's start")
    until(lambda: (b := old.beat()) is not None and b.queue == 2)
    assert old.tweeze("stop").returncode == 0
    (f.root / "hold").unlink()
    assert old.tweeze("start").returncode == 0
    for number in range(3):
        status = client.follow(f"job-{number}", restart=False)
        assert status.state is JobState.DONE, status
    beat = old.beat()
    assert beat is not None
    assert beat.version == VERSION


def test_a_request_under_way_is_work_as_well(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.make()
    busy = (
        Heartbeat(1, state="running"), Heartbeat(1, state="loading"), Heartbeat(1, queue=1),
        Heartbeat(1, running="j"), Heartbeat(1, requests=1),
    )  # fmt: skip
    for beat in busy:
        beat.write(folders.heartbeat)
        assert Heartbeat.read(folders.heartbeat) == beat
        assert not beat.idle
    assert Heartbeat(1, models=("compact",), worker=7).idle
    # The first Tweeze did not say it.
    text = folders.heartbeat.read_text().replace("requests=1\n", "")
    folders.heartbeat.write_text(text)
    found = Heartbeat.read(folders.heartbeat)
    assert found is not None
    assert found.idle
