"""Nothing of the file system's own tells the engine of new files any more: it finds them itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.client import Client
from bridge.doors import events
from bridge.doors.spool import Spool
from bridge.requests import Requests
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.status import JobState
from tests.faults import inside
from tests.faults.inside import service_in
from tests.faults.resident import DOCTOR, ROOT, resident, until, write_noise

LIMITS = "/proc/sys/user"  # of a user namespace alone


class Namespace:
    """A user namespace with limits of its own on what the file system tells; others keep theirs."""

    def __init__(self, folders: Folders, *before: str) -> None:
        self.folders = folders
        self.environment = {
            **os.environ,
            "TWEEZE_HOME": str(folders.root),
            "TWEEZE_OSC_PORT": "0",
            "PYTHONPATH": str(ROOT),
        }
        # A shell in there does what it is told line by line, until its input ends.
        self._shell = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=ROOT,
        )
        for line in before:
            self.do(line)

    def do(self, line: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{line}; echo; echo status=$?\n")
        self._shell.stdin.flush()
        said = ""
        for row in self._shell.stdout:
            if row.startswith("status="):
                break
            said += row
        return said

    def tweeze(self, *words: str) -> str:
        program = ["-c", DOCTOR] if words[0] == "doctor" else ["-m", "bridge.cli"]
        return self.do(f"{shlex.join([sys.executable, *program, *words])} </dev/null")

    def end(self) -> None:
        self.tweeze("stop")
        self._shell.communicate(timeout=60)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "home")


@pytest.fixture
def apart(folders: Folders) -> Iterator[Namespace]:
    if shutil.which("unshare") is None or not Path(LIMITS).is_dir():
        pytest.skip("NO USED-UP EVENTS WERE TRIED: this system has no user namespaces")
    made = Namespace(folders)
    if made.do("id -u").strip() != "0":
        made.end()
        pytest.skip("NO USED-UP EVENTS WERE TRIED: this user may make no user namespace")
    yield made
    made.end()


def remove(folder: Path) -> None:
    """Remove a folder into which the engine writes all the while."""

    def is_gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not any(path.name != "heartbeat" for path in folder.glob("*"))

    until(is_gone, "the end of the folder")


def check_that_it_works(folders: Folders, mixture: Path, id_: str) -> None:
    client = Client(folders)
    client.submit(Job(id_, mixture, ("dog",)))
    assert client.follow(id_, restart=False).state is JobState.DONE


@pytest.mark.fault(
    "other programs have used up the user's inotify instances, or watches, when the engine starts",
    promise="it finds jobs on the clock; log and doctor say it, with the limit to be raised",
)
@pytest.mark.parametrize("limit", ["instances", "watches"])
def test_no_events_at_the_start(
    apart: Namespace, folders: Folders, tmp_path: Path, limit: str
) -> None:
    apart.do(f"echo 0 > {LIMITS}/max_inotify_{limit}")
    assert "has started" in apart.tweeze("start")
    beat = Heartbeat.of_living(folders)
    assert beat is not None
    assert f"fs.inotify.max_user_{limit}" in beat.blind
    check_that_it_works(folders, write_noise(tmp_path / "mixture.wav", 1.0), "job-1")
    remove(folders.spool)
    until(lambda: Heartbeat.of_living(folders) is not None, "a new spool folder")
    check_that_it_works(folders, write_noise(tmp_path / "mixture.wav", 1.0), "job-2")
    assert folders.log.read_text().count("sends no events") == 1
    said = apart.tweeze("doctor")
    assert "WRONG  file events: " in said
    assert f"'sudo sysctl fs.inotify.max_user_{limit}=" in said


@pytest.mark.fault(
    "inotify instances are used up later, and then the spool folder is removed",
    promise="the folder is made anew, jobs are found on the clock; log and doctor say it",
)
def test_no_events_later(apart: Namespace, folders: Folders, tmp_path: Path) -> None:
    apart.tweeze("start")
    beat = Heartbeat.of_living(folders)
    assert beat is not None
    assert beat.blind == ""
    apart.do(f"echo 0 > {LIMITS}/max_inotify_instances")
    remove(folders.spool)
    until(lambda: (b := Heartbeat.of_living(folders)) is not None and b.blind, "the sentence")
    check_that_it_works(folders, write_noise(tmp_path / "mixture.wav", 1.0), "job-1")
    assert "WRONG  file events: " in apart.tweeze("doctor")


def _no_observer() -> None:
    raise SystemError("Cannot start fsevents stream. Use a kqueue or polling observer instead.")


@pytest.mark.fault(
    "the system's own part for events fails in another way (FSEvents on macOS, no threads left)",
    promise="jobs are found on the clock, and the reason is said",
)
def test_other_failures(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "Observer", _no_observer)
    mixture = write_noise(tmp_path / "mixture.wav", 1.0)

    async def scenario() -> None:
        async with inside.door_in(folders):
            (folders.jobs / "job-1").write_text(Job("job-1", mixture, ("dog",)).to_text())
            await inside.until(lambda: not (folders.jobs / "job-1").exists())
            beat = Heartbeat.read(folders.heartbeat)
            assert beat is not None
            assert "Cannot start fsevents stream" in beat.blind

    inside.run(scenario())


@pytest.mark.fault(
    "the thread that hears the file system's events dies",
    promise="it is noticed and said, and jobs are found on the clock",
)
def test_the_thread_dies(folders: Folders, tmp_path: Path) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 1.0)
    folders.make()

    async def scenario() -> None:
        async with service_in(folders) as service:
            spool = Spool(service, Requests(service, {}))
            await spool.open()
            assert spool._events is not None
            assert spool._events.alive
            spool._events.stop()
            await inside.until(
                lambda: (b := Heartbeat.read(folders.heartbeat)) is not None and b.blind
            )
            (folders.jobs / "job-1").write_text(Job("job-1", mixture, ("dog",)).to_text())
            await inside.until(lambda: not (folders.jobs / "job-1").exists())
            await spool.close()
            spool.detach()

    inside.run(scenario())


@pytest.mark.fault(
    "the engine has no file descriptors left, and jobs come",
    promise="none is refused: they are done when it can open files again; said once in the log",
)
def test_no_descriptors(folders: Folders, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("NO USED-UP DESCRIPTORS WERE TRIED: only Linux sets another process's limits")
    import resource

    mixture = write_noise(tmp_path / "mixture.wav", 1.0)
    with resident(folders.root) as engine:
        assert engine.process is not None
        pid = engine.process.pid
        check_that_it_works(folders, mixture, "job-1")
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
        for number in (2, 3):
            engine.client.submit(Job(f"job-{number}", mixture, ("dog",)))
        until(lambda: "A look into the spool folder failed" in engine.log(), "the failure")
        until(lambda: engine.beat() is None, "the last sign of life")  # several looks failed
        assert engine.runs()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for number in (2, 3):
            assert engine.final(f"job-{number}").state is JobState.DONE
        assert engine.log().count("A look into the spool folder failed") == 1
        until(lambda: engine.beat() is not None, "a sign of life")
    with contextlib.suppress(FileNotFoundError):
        assert not list((folders.spool / "refused").iterdir())
