"""The spool folder as a host without sockets uses it, against a service in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standins

from bridge.doors import statuses
from bridge.doors.spool import Spool
from bridge.private import check_private
from bridge.requests import Requests
from engine.errors import BadInput, Failure, HostError
from engine.files import replace_text
from engine.folders import Folders
from engine.host import Report
from engine.job import Job
from engine.queue.cleaning import Keeping
from engine.queue.heartbeat import Heartbeat
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.request import Request
from engine.status import Clip, ClipKind, JobState, Status

DEADLINE = 180.0


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    return folders


class Editor:
    """A host whose answers the request itself asks for."""

    name = "editor"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def handle(self, request: Request, report: Report) -> None:
        self.requests.append(request)
        if request.one("query") == "refuse":
            raise HostError("The editor shows a dialog: close it.")
        if request.one("query") == "break":
            raise ZeroDivisionError
        if request.one("query") == "wait":
            await asyncio.Event().wait()
        report(Status(request.id, JobState.RUNNING, 0.5, "Captured."))


@contextlib.asynccontextmanager
async def door(
    folders: Folders, *hosts: Editor, patience: float = 10, keeping: Keeping | None = None
) -> AsyncIterator[Service]:
    journal = Journal(folders.journal)
    service = Service(folders, journal, keeping=keeping, worker_main=standins.main)
    requests = Requests(service, {host.name: host for host in hosts})
    spool = Spool(service, requests, patience=patience)
    await spool.open()
    await service.start()
    try:
        yield service
    finally:
        await spool.close()
        await requests.close()
        await service.stop()
        spool.detach()
        journal.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def read_status(path: Path) -> Status | None:
    try:
        return Status.from_text(path.read_text("utf-8"))
    except FileNotFoundError:
        return None


async def final_at(path: Path) -> Status:
    await until(lambda: (status := read_status(path)) is not None and status.state.final)
    status = read_status(path)
    assert status is not None
    return status


def said(folders: Folders, id_: str) -> Status | None:
    return read_status(folders.status / id_)


async def final(folders: Folders, id_: str) -> Status:
    return await final_at(folders.status / id_)


async def answer(folders: Folders, id_: str) -> Status:
    """What became of a request."""
    return await final_at(folders.request_status / id_)


def empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def test_a_job_file_written_line_by_line_becomes_a_clip(folders: Folders, short_wav: Path) -> None:
    async def scenario() -> None:
        async with door(folders):
            # as Lua and Nyquist write: no temporary name, no rename, Windows line ends
            with (folders.jobs / "job-1").open("w", newline="\r\n") as file:
                for line in Job("job-1", short_wav, ("dog",)).to_text().splitlines():
                    file.write(f"{line}\n")
                    file.flush()
                    await asyncio.sleep(0)
            status = await final(folders, "job-1")
            assert status.state is JobState.DONE
            assert status.clips[0].path.exists()
            await until(lambda: empty(folders.jobs))
            assert stat.S_IMODE(folders.spool.stat().st_mode) == 0o700

    run(scenario())


def _too_large(path: Path) -> None:
    path.write_bytes(b"x" * ((1 << 20) + 1))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "rubbish": (lambda p: p.write_text("rubbish\nend\n"), "not of the form key=value"),
    "binary": (lambda p: p.write_bytes(b"\xff\xfe\0\nend\n"), "not UTF-8"),
    "large": (_too_large, "1,048,577 bytes"),
    "folder": (lambda p: p.mkdir(), "not a regular file"),
    "fifo": (lambda p: os.mkfifo(p), "not a regular file"),
    "link": (lambda p: p.symlink_to("/etc/passwd"), "symbolic link"),
    "other_name": (
        lambda p: p.write_text(Job("other", Path("/a.wav"), ("dog",)).to_text()),
        "holds another id: other",
    ),
    "relative": (
        lambda p: p.write_text(
            Job(p.name, Path("/a.wav"), ("dog",)).to_text().replace("=/a.wav", "=../a.wav")
        ),
        "is not absolute",
    ),
    "unfinished": (lambda p: p.write_text("tweeze=1\nid=x\n"), "was not finished within"),
    "empty": (lambda p: p.touch(), "was not finished within"),
    "gone": (
        lambda p: p.write_text(Job(p.name, Path("/gone.wav"), ("dog",)).to_text()),
        "does not exist",
    ),
}


def test_what_is_no_job_is_refused_once_and_the_next_is_done(
    folders: Folders, short_wav: Path
) -> None:
    async def scenario() -> None:
        async with door(folders, patience=0.3):
            for name, (make, _) in REFUSED.items():
                make(folders.jobs / name)
            for name, (_, reason) in REFUSED.items():
                status = await final(folders, name)
                assert status.state is JobState.FAILED, name
                assert reason in status.message
                assert status.bad_input
            await until(lambda: empty(folders.jobs))
            assert len(list((folders.spool / "refused").iterdir())) == len(REFUSED) - 1
            replace_text(folders.jobs / "good", Job("good", short_wav, ("dog",)).to_text())
            assert (await final(folders, "good")).state is JobState.DONE

    run(scenario())


def test_names_that_are_no_ids_are_moved_away_and_dots_are_left_alone(folders: Folders) -> None:
    async def scenario() -> None:
        async with door(folders):
            (folders.jobs / ".being-written").write_text("tweeze=1\n")
            for name in ("a b", "ä", "-x", "a" * 65, "new\nline"):
                (folders.jobs / name).write_text("end\n")
            await until(lambda: [p.name for p in folders.jobs.iterdir()] == [".being-written"])
            assert empty(folders.status)

    run(scenario())


def test_a_second_job_under_a_known_id_does_not_touch_the_first(
    folders: Folders, short_wav: Path
) -> None:
    async def scenario() -> None:
        async with door(folders) as service:
            first = Job("job-1", short_wav, ("dog",))
            replace_text(folders.jobs / "job-1", first.to_text())
            done = await final(folders, "job-1")
            for text in (replace(first, title="other").to_text(), "rubbish\nend\n"):
                replace_text(folders.jobs / "job-1", text)
                await until(lambda: empty(folders.jobs))
                assert said(folders, "job-1") == done
            replace_text(folders.jobs / "job-1", first.to_text())  # the same again is no harm
            await until(lambda: empty(folders.jobs))
            assert service.status("job-1").state is JobState.DONE

    run(scenario())


def test_cancelling_by_file(folders: Folders, short_wav: Path, noise: Callable[..., Path]) -> None:
    async def scenario() -> None:
        async with door(folders):
            (folders.root / "hold").touch()
            long = noise(folders.root / "long.wav", 10)
            replace_text(folders.jobs / "running", Job("running", long, ("hold",)).to_text())
            await until((folders.root / "held").exists)
            (folders.jobs / "unfinished").write_text("tweeze=1\n")
            for name in ("running", "unfinished", "unknown", "not an id"):
                (folders.cancel / name).touch()
            await until(lambda: empty(folders.cancel))
            (folders.root / "hold").unlink()
            for name in ("running", "unfinished"):
                assert (await final(folders, name)).state is JobState.CANCELLED
            assert empty(folders.clips)
            assert empty(folders.jobs)

    run(scenario())


def test_requests_reach_their_host_and_its_answer_the_status(folders: Folders) -> None:
    async def scenario() -> None:
        editor = Editor()
        async with door(folders, editor):
            expected = {
                "dog": (JobState.DONE, "Captured."),
                "refuse": (JobState.FAILED, "The editor shows a dialog: close it."),
                "break": (JobState.FAILED, "Unexpected error"),
            }
            for query in expected:
                fields = (("query", query), ("keep", "both"))
                request = Request(f"r-{query}", "editor", fields)
                replace_text(folders.requests / request.id, request.to_text())
            for query, (state, message) in expected.items():
                status = await answer(folders, f"r-{query}")
                assert status.state is state
                assert message in status.message
            assert {r.one("keep") for r in editor.requests} == {"both"}
            stranger = Request("r-2", "cubase", ())
            replace_text(folders.requests / "r-2", stranger.to_text())
            status = await answer(folders, "r-2")
            assert "There is no editor 'cubase'; there are: editor" in status.message
            waiting = Request("r-3", "editor", (("query", "wait"),))
            replace_text(folders.requests / "r-3", waiting.to_text())
            path = folders.request_status / "r-3"
            await until(lambda: (s := read_status(path)) and s.state is JobState.RUNNING)
            (folders.cancel / "r-3").touch()
            assert (await answer(folders, "r-3")).state is JobState.CANCELLED
            assert empty(folders.requests)
            assert empty(folders.status), "what is said of requests lies among the jobs"

    run(scenario())


def test_a_request_under_a_jobs_id_is_refused_and_the_job_keeps_its_status(
    folders: Folders, short_wav: Path
) -> None:
    async def scenario() -> None:
        async with door(folders, Editor()):
            replace_text(folders.jobs / "one", Job("one", short_wav, ("dog",)).to_text())
            done = await final(folders, "one")
            replace_text(folders.requests / "one", Request("one", "editor").to_text())
            assert "is taken" in (await answer(folders, "one")).message
            assert said(folders, "one") == done

    run(scenario())


def test_what_an_earlier_engine_left_unsaid_is_said(folders: Folders, short_wav: Path) -> None:
    journal = Journal(folders.journal)
    for number in (1, 2):
        journal.accept(Job(f"job-{number}", short_wav, ("dog",)))
    journal.record(Status("job-1", JobState.FAILED, message="The reason."))
    journal.close()
    of_older = folders.status / "request-1"  # an older Tweeze wrote both kinds into one folder
    of_this = folders.request_status / "request-2"
    for path in (folders.status / "job-1", of_older, of_this):
        path.write_text(Status(path.name, JobState.RUNNING, 0.5).to_text())

    async def scenario() -> None:
        async with door(folders):
            assert (await final(folders, "job-1")).message == "The reason."
            for path in (of_older, of_this):
                assert "ask for it again" in (await final_at(path)).message
            assert (await final(folders, "job-2")).state is JobState.DONE

    run(scenario())


def test_it_works_without_events_of_the_file_system(
    folders: Folders, short_wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", refuse)

    async def scenario() -> None:
        async with door(folders):
            replace_text(folders.jobs / "job-1", Job("job-1", short_wav, ("dog",)).to_text())
            assert (await final(folders, "job-1")).state is JobState.DONE

    run(scenario())


def test_a_spool_that_is_removed_comes_back(folders: Folders, short_wav: Path) -> None:
    async def scenario() -> None:
        async with door(folders):
            shutil.rmtree(folders.spool)
            await until(folders.jobs.exists)
            replace_text(folders.jobs / "job-1", Job("job-1", short_wav, ("dog",)).to_text())
            assert (await final(folders, "job-1")).state is JobState.DONE

    run(scenario())


def test_old_statuses_go_and_unfinished_jobs_keep_theirs(
    folders: Folders, short_wav: Path, noise: Callable[..., Path]
) -> None:
    old = time.time() - statuses.KEEP - 60
    for folder in (folders.status, folders.request_status):
        for name in ("old", "young"):
            (folder / name).write_text(Status(name, JobState.DONE).to_text())
        os.utime(folder / "old", (old, old))
    (folders.root / "hold").touch()
    long = noise(folders.root / "long.wav", 10)
    journal = Journal(folders.journal)
    journal.accept(Job("unfinished", long, ("hold",)))
    journal.close()

    async def scenario() -> None:
        async with door(folders):
            for folder in (folders.status, folders.request_status):
                await until(lambda folder=folder: not (folder / "old").exists())
                assert (folder / "young").exists()
            assert (folders.status / "unfinished").exists()

    run(scenario())


def kept(folders: Folders, id_: str, *, days: float) -> Status:
    """A job that ended so long ago and whose clip nobody fetched; its status is not written."""
    clip = Clip(folders.clips / id_ / "a - dog.wav", ClipKind.TARGET, "dog", "a - dog")
    clip.path.parent.mkdir()
    clip.path.write_bytes(b"RIFF")
    status = Status(id_, JobState.DONE, 1.0, clips=(clip,))
    journal = Journal(folders.journal)
    journal.accept(Job(id_, folders.root / "a.wav", ("dog",)))
    journal.record(status)
    journal.close()
    when = time.time() - days * 24 * 3600
    database = sqlite3.connect(folders.journal)
    with contextlib.closing(database), database:
        database.execute("UPDATE jobs SET changed = ? WHERE id = ?", (when, id_))
    return status


@pytest.mark.fault(
    "a project stays closed for weeks while its clips wait",
    promise="the status that tells of them stays as long as they do, and goes with them",
)
def test_a_status_lives_as_long_as_its_clips(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it alone a script that can only read files finds what it waits for."""
    monkeypatch.setattr(statuses, "STATUSES", 3)
    ages = {"weeks": 20, "months": 200}  # the latter where TWEEZE_KEEP_DAYS has another value
    expected = {name: kept(folders, name, days=days) for name, days in ages.items()}
    for number in range(10):
        path = folders.status / f"other-{number}"
        path.write_text(Status(path.name, JobState.FAILED, message="No.").to_text())
        os.utime(path, (time.time() - 3600 + number,) * 2)
    for name, status in expected.items():
        (folders.status / name).write_text(status.to_text())
        os.utime(folders.status / name, (time.time() - ages[name] * 24 * 3600,) * 2)

    async def scenario() -> None:
        keeping = Keeping(seconds=1000 * 24 * 3600.0)
        async with door(folders, keeping=keeping) as service:
            await until(lambda: not (folders.status / "other-6").exists())
            for name, status in expected.items():
                assert said(folders, name) == status
            shutil.rmtree(folders.clips / "months")
            shutil.rmtree(folders.clips / "weeks")
        async with door(folders, keeping=keeping) as service:
            await until(lambda: not any((folders.status / name).exists() for name in expected))
            assert service.status("weeks").state is JobState.DONE

    run(scenario())


@pytest.mark.fault(
    "the statuses of finished jobs are lost, and their clips are not",
    promise="they are written anew from the journal, with the time at which the job ended",
)
@pytest.mark.parametrize("when", ["before the start", "with the spool"])
def test_a_status_that_is_missing_is_written_anew(folders: Folders, when: str) -> None:
    expected = [kept(folders, f"job-{number}", days=20 - number) for number in range(4)]

    async def scenario() -> None:
        async with door(folders, keeping=Keeping(seconds=1000 * 24 * 3600.0)):
            if when == "with the spool":
                shutil.rmtree(folders.spool)
            for status in expected:
                assert await final(folders, status.id) == status
            times = [(folders.status / status.id).stat().st_mtime for status in expected]
            assert times == sorted(times)
            assert times[-1] < time.time() - 24 * 3600

    run(scenario())


def test_the_sign_of_life_tells_what_goes_on(folders: Folders, noise: Callable[..., Path]) -> None:
    async def scenario() -> None:
        async with door(folders) as service:
            (folders.root / "hold").touch()
            long = noise(folders.root / "long.wav", 10)
            for number in (1, 2):
                await service.submit(Job(f"job-{number}", long, ("hold",)))
            await until((folders.root / "held").exists)
            await until(lambda: (b := Heartbeat.read(folders.heartbeat)) and b.models)
            beat = Heartbeat.read(folders.heartbeat)
            assert beat is not None
            assert (beat.pid, beat.state, beat.queue) == (os.getpid(), "running", 1)
            assert (beat.running, beat.models) == ("job-1", ("compact",))
            assert beat.worker == service.worker_pid
        assert not folders.heartbeat.exists()

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no modes here")
def test_folders_that_others_can_reach_are_refused(folders: Folders, tmp_path: Path) -> None:
    for folder in (folders.spool, folders.clips):
        folder.chmod(0o750)
        with pytest.raises(Failure, match=rf"mode 750\): run 'chmod 700 {folder}'"):
            check_private(folders)
        folder.chmod(0o700)
    check_private(folders)
    shutil.rmtree(folders.spool)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folders.spool.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="is not a folder"):
        check_private(folders)
    if os.geteuid() == 0:
        folders.spool.unlink()
        folders.spool.mkdir(mode=0o700)
        os.chown(folders.spool, 65534, 65534)
        with pytest.raises(Failure, match="belongs to another user"):
            check_private(folders)


def test_a_request_must_name_its_host() -> None:
    with pytest.raises(BadInput, match="does not say 'host'"):
        Request.from_text("tweeze=1\nid=a\nend\n")
