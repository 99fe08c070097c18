"""The spool folder as a host without sockets uses it, against a service in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standins

from bridge.doors import spool as spool_module
from bridge.doors.spool import Spool, check_private
from bridge.files import replace_text
from bridge.heartbeat import Heartbeat
from bridge.hosts import Report
from engine.errors import BadInput, Failure, HostError
from engine.folders import Folders
from engine.job import Job, JobState, Status
from engine.journal import Journal
from engine.request import Request
from engine.service import Service

DEADLINE = 90.0


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
async def door(folders: Folders, *hosts: Editor, patience: float = 10) -> AsyncIterator[Service]:
    journal = Journal(folders.journal)
    service = Service(folders, journal, worker_main=standins.main)
    spool = Spool(service, {host.name: host for host in hosts}, patience=patience)
    await spool.open()
    await service.start()
    try:
        yield service
    finally:
        await spool.close()
        await service.stop()
        spool.detach()
        journal.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def said(folders: Folders, id_: str) -> Status | None:
    try:
        return Status.from_text((folders.status / id_).read_text("utf-8"))
    except FileNotFoundError:
        return None


async def final(folders: Folders, id_: str) -> Status:
    await until(lambda: (status := said(folders, id_)) is not None and status.state.final)
    status = said(folders, id_)
    assert status is not None
    return status


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
    "folder": (lambda p: p.mkdir(), "no regular file"),
    "fifo": (lambda p: os.mkfifo(p), "no regular file"),
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
                "break": (JobState.FAILED, "in a way it does not know"),
            }
            for query in expected:
                fields = (("query", query), ("keep", "both"))
                request = Request(f"r-{query}", "editor", fields)
                replace_text(folders.requests / request.id, request.to_text())
            for query, (state, message) in expected.items():
                status = await final(folders, f"r-{query}")
                assert status.state is state
                assert message in status.message
            assert {r.one("keep") for r in editor.requests} == {"both"}
            stranger = Request("r-2", "cubase", ())
            replace_text(folders.requests / "r-2", stranger.to_text())
            status = await final(folders, "r-2")
            assert "no part for the editor 'cubase' here; there are: editor" in status.message
            waiting = Request("r-3", "editor", (("query", "wait"),))
            replace_text(folders.requests / "r-3", waiting.to_text())
            await until(lambda: (s := said(folders, "r-3")) and s.state is JobState.RUNNING)
            (folders.cancel / "r-3").touch()
            assert (await final(folders, "r-3")).state is JobState.CANCELLED
            assert empty(folders.requests)

    run(scenario())


def test_what_an_earlier_engine_left_unsaid_is_said(folders: Folders, short_wav: Path) -> None:
    journal = Journal(folders.journal)
    for number in (1, 2):
        journal.accept(Job(f"job-{number}", short_wav, ("dog",)))
    journal.record(Status("job-1", JobState.FAILED, message="The reason."))
    journal.close()
    for name in ("job-1", "request-1"):
        text = Status(name, JobState.RUNNING, 0.5).to_text()
        (folders.status / name).write_text(text)

    async def scenario() -> None:
        async with door(folders):
            assert (await final(folders, "job-1")).message == "The reason."
            assert "ask for it again" in (await final(folders, "request-1")).message
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
    old = time.time() - spool_module.KEEP - 60
    for name in ("old", "young"):
        (folders.status / name).write_text(Status(name, JobState.DONE).to_text())
    os.utime(folders.status / "old", (old, old))
    (folders.root / "hold").touch()
    long = noise(folders.root / "long.wav", 10)
    journal = Journal(folders.journal)
    journal.accept(Job("unfinished", long, ("hold",)))
    journal.close()

    async def scenario() -> None:
        async with door(folders):
            await until(lambda: not (folders.status / "old").exists())
            assert (folders.status / "young").exists()
            assert (folders.status / "unfinished").exists()

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
    with pytest.raises(Failure, match="is no folder"):
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
