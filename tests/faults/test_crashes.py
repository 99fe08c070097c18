"""kill -9, of the worker and of the resident engine, at random and at the worst moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job, Placement
from engine.options import Keep, Options
from engine.queue.journal import Insertion, Journal
from engine.request import Request
from engine.status import Clip, ClipKind, JobState, Status
from tests.faults.resident import (
    MANY,
    Resident,
    check_ends,
    check_names,
    expected,
    kill_worker,
    pause,
    resident,
    until,
    write_noise,
)

Tries = Callable[[int], None]
JOBS = 50 if MANY else 20
SEED = int(os.environ.get("TWEEZE_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


def jobs(folder: Path, count: int = JOBS, words: str = "slow") -> list[Job]:
    """Jobs of about ten segments, of five kinds, some with two clips."""
    mixture = write_noise(folder / "mixture.wav", 6.0)
    keeps = [Keep.TARGET, Keep.BOTH]
    return [
        Job(f"job-{n:03}", mixture, (f"{words} {n % 5}",), Options(keep=keeps[n % 5 % 2]))
        for n in range(count)
    ]


def deaths(engine: Resident) -> dict[str, int]:
    journal = Journal(engine.folders.journal)
    try:
        return {entry.job.id: entry.deaths for entry in journal.recent(1000)}
    finally:
        journal.close()


def at_any_moment(engine: Resident, rng: random.Random) -> None:
    """Wait a random time: from a start, or, more often, from when segments are being done."""
    segments = engine.folders.root / "segments"
    before = segments.stat().st_size if segments.exists() else 0

    def at_work() -> bool:
        beat = engine.beat()
        idle = beat is not None and not beat.queue and not beat.running
        return idle or (segments.exists() and segments.stat().st_size > before)

    if rng.random() < 0.8:
        until(at_work, "a segment")
        pause(rng, 0.0, 0.6)
    else:
        pause(rng, 0.0, 1.5)


def all_ended(engine: Resident, ids: list[str]) -> bool:
    statuses = [engine.status(id_) for id_ in ids]
    return all(status is not None and status.state.final for status in statuses)


@pytest.mark.fault(
    "the worker is killed (kill -9) at random moments of 50 jobs (20 in the quick run)",
    promise="every job ends in the same bytes; no half-written file has its final name",
)
def test_workers_killed_at_random(tmp_path: Path, tries: Tries) -> None:
    rng = random.Random(SEED)
    todo = jobs(tmp_path)
    wanted = expected(todo, tmp_path / "calm")
    killed, most = 0, 60 if MANY else 6
    with resident(tmp_path / "home") as engine:
        for job in todo:
            engine.client.submit(job)
        while killed < most and not all_ended(engine, list(wanted)):
            at_any_moment(engine, rng)
            killed += kill_worker(engine)
            check_names(engine.folders, wanted)
        counts = check_ends(engine, wanted)
        assert sum(deaths(engine).values()) <= killed, f"seed {SEED}"
        assert counts[JobState.FAILED] <= killed // 3
        assert counts[JobState.DONE] >= JOBS - killed // 3
    assert killed >= most // 2, "the jobs ended before the kills"
    tries(killed)


@pytest.mark.fault(
    "the resident engine is killed at random moments of 50 jobs (20 in the quick run)",
    promise="every accepted job is done at the next start, in the same bytes",
)
def test_engines_killed_at_random(tmp_path: Path, tries: Tries) -> None:
    rng = random.Random(SEED)
    todo = jobs(tmp_path)
    wanted = expected(todo, tmp_path / "calm")
    killed, most = 0, 40 if MANY else 4
    with resident(tmp_path / "home") as engine:
        for job in todo:
            engine.client.submit(job)
        while killed < most and not all_ended(engine, list(wanted)):
            at_any_moment(engine, rng)
            engine.kill()
            killed += 1
            check_names(engine.folders, wanted)
            engine.start()
            assert engine.runs(), engine.log()[-2000:]
        counts = check_ends(engine, wanted)
        assert counts[JobState.DONE] == JOBS, f"seed {SEED}"
        assert set(deaths(engine).values()) == {0}, "the engine's own end counted"
    tries(killed)


@pytest.mark.fault(
    "worker and engine are killed in turn at random moments of 50 jobs (20 in the quick run)",
    promise="every accepted job ends in the same bytes",
)
def test_both_killed_at_random(tmp_path: Path, tries: Tries) -> None:
    rng = random.Random(SEED)
    todo = jobs(tmp_path)
    wanted = expected(todo, tmp_path / "calm")
    killed, most = 0, 40 if MANY else 4
    with resident(tmp_path / "home") as engine:
        for job in todo:
            engine.client.submit(job)
        while killed < most and not all_ended(engine, list(wanted)):
            at_any_moment(engine, rng)
            if rng.random() < 0.5:
                killed += kill_worker(engine)
            else:
                engine.kill()
                killed += 1
                engine.start()
            check_names(engine.folders, wanted)
        counts = check_ends(engine, wanted)
        assert counts[JobState.DONE] >= JOBS - killed // 3, f"seed {SEED}"
    tries(killed)


@pytest.mark.fault(
    "the worker is killed between writing the clips and saying so",
    promise="the job is done, with the same bytes, once",
)
@pytest.mark.parametrize("word", ["unclaimed", "between"])
def test_worker_killed_before_it_tells(tmp_path: Path, word: str, tries: Tries) -> None:
    todo = jobs(tmp_path, 30 if MANY else 3, word)
    wanted = expected(todo, tmp_path / "calm")
    with resident(tmp_path / "home") as engine:
        for job in todo:
            engine.client.submit(job)
        counts = check_ends(engine, wanted)
        assert counts[JobState.DONE] == len(todo)
        died = [n for n in deaths(engine).values() if n == 1]
        assert len(died) == len(list(engine.folders.root.glob(f"{word}-*"))) == len(todo)
    tries(len(todo))


@pytest.mark.fault(
    "the engine is killed between a clip's last byte and its record in the journal",
    promise="the job is done after the next start, with the same bytes",
)
def test_engine_killed_before_it_records(tmp_path: Path, tries: Tries) -> None:
    todo = jobs(tmp_path, 20 if MANY else 3)
    wanted = expected(todo, tmp_path / "calm")
    engine = Resident(Folders(tmp_path / "home"), TWEEZE_DYING_JOURNAL="1")
    try:
        engine.start()
        for job in todo:
            engine.client.submit(job)
        for _ in todo:
            until(lambda: not engine.runs(), "the engine's death")
            engine.start()
        assert check_ends(engine, wanted)[JobState.DONE] == len(todo)
        assert set(deaths(engine).values()) == {0}
    finally:
        engine.stop()
    tries(len(todo))


@pytest.mark.fault(
    "three workers die over one job, and the engine four times over another",
    promise="the first fails with its reason, the engine's own ends do not count, the next goes on",
)
def test_three_deaths_fail_a_job_and_the_engines_do_not_count(tmp_path: Path, tries: Tries) -> None:
    # 13 segments: each start of the engine finishes two before the job is held again
    mixture = write_noise(tmp_path / "mixture.wav", 16.0)
    held = Job("held", mixture, ("hold",))
    wanted = expected([held], tmp_path / "calm")
    home = tmp_path / "home"
    with resident(home) as engine:
        (home / "hold").touch()
        engine.client.submit(held)
        for _ in range(4):
            until((home / "held").exists, "the job's middle")
            (home / "held").unlink()
            engine.kill()
            engine.start()
        until((home / "held").exists, "the job's middle")
        (home / "hold").unlink()
        assert check_ends(engine, wanted)[JobState.DONE] == 1
        assert deaths(engine) == {"held": 0}
        engine.client.submit(Job("fatal", mixture, ("crash",)))
        engine.client.submit(Job("next", mixture, ("dog",)))
        status = engine.final("fatal")
        assert status.state is JobState.FAILED
        assert "ended 3 times" in status.message
        assert engine.final("next").state is JobState.DONE
        assert deaths(engine)["fatal"] == 3
    tries(7)


@pytest.mark.fault(
    "worker and engine end together, over and over, before a first result",
    promise="after ten attempts the job fails with a sentence, and the next goes on",
)
def test_a_job_that_ends_everything_is_given_up(tmp_path: Path, tries: Tries) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 2.0)
    home = tmp_path / "home"
    folder = home / "clips" / "job-1" / "work"
    folder.mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "clips").chmod(0o700)
    count = 0
    with resident(home) as engine:
        (home / "hold-load").touch()
        engine.client.submit(Job("job-1", mixture, ("dog",)))
        until((home / "loading").exists, "the load")
        (folder / "begun").write_text("9\n")  # as nine such ends leave it
        (home / "hold-load").unlink()
        engine.final("job-1")
        assert engine.final("job-1").state is JobState.DONE
        (home / "clips" / "job-2" / "work").mkdir(parents=True)
        (home / "clips" / "job-2" / "work" / "begun").write_text("10\n")
        engine.client.submit(Job("job-2", mixture, ("dog",)))
        status = engine.final("job-2")
        assert status.state is JobState.FAILED
        assert "was begun 10 times" in status.message
        assert not (home / "clips" / "job-2").exists()
        engine.client.submit(Job("job-3", mixture, ("dog",)))
        assert engine.final("job-3").state is JobState.DONE
        count = 2
    tries(count)


@pytest.mark.fault(
    "the engine is killed before, while and after a clip goes into the editor",
    promise="the clip goes in at most once; only a doubtful one waits for the user's word",
)
@pytest.mark.parametrize("moment", ["ready", "claimed", "inserted", "settled"])
def test_inserted_at_most_once(tmp_path: Path, moment: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    journal = Journal(home / "journal.sqlite")
    place = Placement("audacity", "project", "Track", 0, 44100)
    job = Job("job-1", Path("/a.wav"), ("dog", "rain"), placement=place)
    journal.accept(job, attendant="audacity")
    clips = tuple(
        Clip(Path(f"/{name}.wav"), ClipKind.TARGET, name, name) for name in ("dog", "rain")
    )
    journal.record(Status("job-1", JobState.DONE, 1.0, clips=clips))
    journal.close()

    def lines() -> list[str]:
        path = home / "timeline"
        return path.read_text().split() if path.exists() else []

    dying = Resident(Folders(home), TWEEZE_EDITOR_DIES=moment)
    try:
        dying.start()
        assert dying.process is not None
        assert dying.process.wait(60) == -signal.SIGKILL
    finally:
        dying.stop()
    assert lines() == (["dog"] if moment in ("inserted", "settled") else []), "another moment"
    doubtful = moment in ("claimed", "inserted")
    for _ in range(2):  # what the first one settles stays settled
        with resident(home, TWEEZE_EDITOR_DIES="never"):
            until(lambda: not _attended(home), "the insertion of the rest")
        assert lines().count("dog") == (moment != "claimed")
        assert lines().count("rain") == 1
        assert _insertions(home) == [
            Insertion.CLAIMED if doubtful else Insertion.INSERTED,
            Insertion.INSERTED,
        ]
    # At the user's word: of a named job what is in doubt goes in, and nothing else.
    before = lines()
    with resident(home, TWEEZE_EDITOR_DIES="never") as engine:
        request = Request("r-1", "audacity", (("action", "insert"), ("job", "job-1")))
        replace_text(engine.folders.requests / "r-1", request.to_text())
        said = engine.folders.request_status / "r-1"
        until(lambda: said.exists() and Status.from_text(said.read_text()).state.final, "an answer")
        status = Status.from_text(said.read_text())
    assert lines() == before + ["dog"] * doubtful
    assert status.message == (
        "1 new track." if doubtful else
        "The clips of job job-1 are in already: add --again to insert them once more."
    )  # fmt: skip


def _insertions(home: Path) -> list[Insertion]:
    journal = Journal(home / "journal.sqlite")
    states = [journal.insertion("job-1", number) for number in range(2)]
    journal.close()
    return states


def _attended(home: Path) -> int:
    """How many jobs Audacity's part has yet to attend to, beside a running engine."""
    address = f"file:{home / 'journal.sqlite'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM jobs WHERE attendant <> ''").fetchone()
    return int(count)
