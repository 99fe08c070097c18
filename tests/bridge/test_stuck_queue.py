"""A file over which decoders hang: what is said of it, and that the other jobs go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import cli, launch
from bridge.doctor import _engine, _queue
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import STALLED, Heartbeat
from engine.queue.journal import Journal
from engine.queue.lock import ProcessLock
from engine.status import JobState
from tests.bridge.conftest import Home, until, write_noise
from tests.engine.sound.test_reader import looping_wav

ANSWER = 3.0  # seconds after which this engine gives a decoder up


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One whose engine is less patient with decoders, and has its model loaded."""
    root = tmp_path_factory.mktemp("tweeze")
    home = Home(root / "home", standin=True, answer=ANSWER)
    loaded = home.tweeze("listen", write_noise(root / "first.wav", 0.1))
    assert loaded.returncode == 0, loaded.stderr
    yield home
    launch.stop(home.folders)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "x.wav"
    path.write_bytes(looping_wav())
    return path


@pytest.mark.fault(
    "a file of 80 bytes makes decoders hang, and other jobs come before and after it",
    promise="its job fails with a sentence, `status` tells the truth, the others are done",
    group="files",
)
def test_it_fails_and_the_others_are_done(home: Home, bad: Path, short_wav: Path) -> None:
    first = home.start("separate", bad, "dog barking")
    until_looking(home)
    said = json.loads(home.tweeze("status", "--json").stdout)
    assert said["engine"]["state"] == "looking"
    assert said["engine"]["queue"] == 1
    assert [job["state"] for job in said["jobs"] if job["state"] == "queued"] == ["queued"]
    doctor = list(_queue(Heartbeat.read(home.folders.heartbeat)))  # type: ignore[arg-type]
    assert doctor[0].ok
    assert "a file is being looked at, 1 waiting" in doctor[0].said
    other = home.tweeze("separate", short_wav, "dog barking", "--out", bad.parent / "out")
    assert other.returncode == 0, other.stderr
    assert first.poll() is None
    _, words = first.communicate(timeout=60)
    assert first.returncode == 2
    assert words.splitlines()[-1].startswith(f"{bad} was opened twice, and each time the decoder")


def test_it_can_be_cancelled_at_once(home: Home, bad: Path) -> None:
    job = Job("hangs", bad, ("dog barking",), client="test")
    home.client.submit(job)
    until_looking(home)
    done = home.tweeze("cancel", job.id)
    assert done.returncode == 0, done.stderr
    assert home.client.follow(job.id, lambda _: None).state is JobState.CANCELLED


def test_a_restart_does_not_bring_it_back_for_ever(home: Home, bad: Path, short_wav: Path) -> None:
    """Neither at the door nor in the worker."""
    home.client.submit(Job("hangs-on", bad, ("dog barking",), client="test"))
    until_looking(home)
    home.tweeze("stop")
    out = bad.parent / "out"
    done = home.tweeze("separate", short_wav, "dog barking", "--out", out)
    assert done.returncode == 0, done.stderr
    assert home.client.follow("hangs-on", lambda _: None).state is JobState.FAILED


def test_doctor_and_status_say_that_nothing_comes_on() -> None:
    stuck = Heartbeat(1, running="j-1", queue=2, state="running", stalled=STALLED + 40)
    found = list(_queue(stuck))
    assert not found[0].ok
    assert found[0].said == "no progress for 100 s: job j-1, 2 waiting"
    assert list(_queue(Heartbeat(1))) == []


def test_status_and_doctor_say_where_a_damaged_journal_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path))
    folders = Folders(tmp_path)
    folders.make()
    folders.journal.write_bytes(b"this is no database " * 400)
    journal = Journal(folders.journal)
    lock = ProcessLock(folders.lock)
    assert lock.take()
    Heartbeat(os.getpid(), notice=journal.notice).write(folders.heartbeat)
    assert cli.run(["status"]) == 0
    (aside,) = tmp_path.glob("journal.damaged-*.sqlite")
    said = f"it lies at {aside} now, and a new one was begun."
    assert said in capsys.readouterr().out
    (check,) = [check for check in _engine(folders) if check.name == "journal"]
    assert not check.ok
    assert said in check.said
    assert "tweeze stop" in check.remedy
    lock.drop()
    journal.close()


def until_looking(home: Home) -> None:
    def looks() -> bool:
        beat = Heartbeat.of_living(home.folders)
        return beat is not None and beat.state == "looking" and beat.queue == 1

    until(looks)
