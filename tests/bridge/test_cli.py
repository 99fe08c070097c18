from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from bridge import doctor, launch
from bridge.cli import run
from bridge.private import check_private
from engine.advice.sentences import advice
from engine.display import shown
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat
from engine.status import JobState, Status
from tests.bridge.conftest import Home

Until = Callable[[Callable[[], object]], None]


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def progress_of(home: Any, known: set[str]) -> float:
    """How far the job has come that was not known before."""
    for path in home.folders.status.iterdir():
        if path.name not in known and not path.name.startswith("."):
            status = home.client.status(path.name)
            if status is not None and not status.state.final:
                return float(status.progress)
    return 0.0


def test_a_file_becomes_clips(real_home: Any, short_wav: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "clips"
    words = ("separate", short_wav, "dog barking", "bird", "--keep", "both", "--out", out)
    done = real_home.in_its_own_process(*words)
    assert (done.returncode, real_home.complaints(done)) == (0, [])
    names = [
        "street - dog barking.wav",
        "street - bird.wav",
        "street - without dog barking, bird.wav",
    ]
    assert done.stdout.splitlines() == [str(out / name) for name in names]
    for name in names:
        info = soundfile.info(out / name)
        assert (info.samplerate, info.frames, info.channels) == (16_000, 16_000, 2)
        assert info.subtype == "FLOAT"
    assert real_home.leftovers() == []


def test_nothing_is_overwritten_and_the_current_folder_is_the_usual_one(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    (tmp_path / "street - dog.wav").write_text("mine")
    for _ in range(2):
        assert home.tweeze("separate", short_wav, "dog", cwd=tmp_path).returncode == 0
    assert only(tmp_path) == ["street - dog (2).wav", "street - dog (3).wav", "street - dog.wav"]
    assert (tmp_path / "street - dog.wav").read_text() == "mine"


def test_json_is_one_object(home: Any, short_wav: Path, tmp_path: Path) -> None:
    done = home.tweeze("separate", short_wav, "dog", "--out", tmp_path, "--json")
    said = json.loads(done.stdout)
    (clip,) = said["clips"]
    assert clip == {"path": str(tmp_path / "street - dog.wav"), "kind": "target", "query": "dog"}
    assert said["model"] == "auto"
    assert said["answers"] == ["compact"]
    assert said["seconds"] > 0


def test_a_symbolic_link_to_a_file_is_that_file(home: Any, short_wav: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.wav"
    link.symlink_to(short_wav)
    assert home.tweeze("separate", link, "dog", "--out", tmp_path / "o").returncode == 0


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second disk")
def test_clips_go_to_another_disk_whole(home: Any, short_wav: Path, tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as out:
        if Path(out).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm is on the same disk")
        done = home.tweeze("separate", short_wav, "dog", "--out", out)
        assert done.returncode == 0, done.stderr
        assert only(Path(out)) == ["street - dog.wav"]
        assert soundfile.info(Path(out) / "street - dog.wav").frames == 16_000
    assert home.leftovers() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(
    real_home: Any, long_wav: Path, tmp_path: Path, until: Until, number: int, code: int
) -> None:
    real_home.tweeze("start")
    known = {path.name for path in real_home.folders.status.iterdir()}
    with real_home.start("separate", long_wav, "dog", "--out", tmp_path / "a" / "b") as process:
        until(lambda: progress_of(real_home, known) > 0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "Cancelled.\n")
    assert only(tmp_path) == []
    assert real_home.leftovers() == []
    assert real_home.beat().state == "idle"


def test_a_waiting_job_is_cancelled_by_name(
    real_home: Any, noise: Callable[..., Path], short_wav: Path, tmp_path: Path, until: Until
) -> None:
    concert = noise(tmp_path / "concert.wav", 300.0)  # it must last for some commands
    real_home.tweeze("start")
    known = {path.name for path in real_home.folders.status.iterdir()}
    with (
        real_home.start("separate", concert, "dog", "--out", tmp_path / "1") as running,
    ):
        until(lambda: progress_of(real_home, known) > 0)
        with real_home.start("separate", short_wav, "dog", "--out", tmp_path / "2") as waiting:
            until(lambda: real_home.beat().queue == 1)
            listed = json.loads(real_home.tweeze("status", "--json").stdout)
            jobs = {job["state"]: job["id"] for job in listed["jobs"]}
            for state, process in (("queued", waiting), ("running", running)):
                done = real_home.tweeze("cancel", jobs[state])
                file = {"queued": "street", "running": "concert"}[state]
                assert done.stdout == f"Job {jobs[state]}: Cancelled: 'dog' in '{file}'.\n"
                _, err = process.communicate(timeout=60)
                assert process.returncode == 130
                assert err == f"Job {jobs[state]} was cancelled.\n"
    assert only(tmp_path) == [concert.name]
    assert real_home.leftovers() == []
    again = real_home.tweeze("cancel", jobs["running"])
    assert "had already ended (cancelled)" in again.stdout


def test_status_lists_jobs_by_time_and_no_requests(fresh_home: Any) -> None:
    """Whatever their ids look like, and however many requests came in between."""
    f = fresh_home.folders
    check_private(f)
    now = time.time()

    def write(folder: Path, status: Status, age: float) -> None:
        path = folder / status.id
        path.write_text(status.to_text())
        os.utime(path, (now - age, now - age))

    write(f.status, Status("0-waits-since-long", JobState.QUEUED), 9000)
    names = ["zz", "20260101-000000-abc-1", "a1", "x", "b-2", "20990101-000000-abc-1"]
    for number, name in enumerate(names):
        write(f.status, Status(name, JobState.DONE), 8000 - number)
    for number in range(210):
        write(f.status, Status(f"zz-old-{number}", JobState.DONE), 8500 + number)
        write(f.request_status, Status(f"zz-request-{number}", JobState.DONE), number)
    expected = [*names[:0:-1], "0-waits-since-long"]
    listed = json.loads(fresh_home.tweeze("status", "--json").stdout)
    assert [job["id"] for job in listed["jobs"]] == expected
    lines = fresh_home.tweeze("status").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == expected
    # By its name a request is found all the same.
    assert fresh_home.tweeze("status", "zz-request-3").stdout == "zz-request-3  done\n"


@pytest.mark.parametrize("killed", ["engine", "worker"])
def test_a_kill_changes_no_more_than_rounding(
    killed: str, real_home: Any, noise: Callable[..., Path], tmp_path: Path, until: Until
) -> None:
    """An end of the engine changes no byte; after one of the worker, segments are shorter."""
    concert = noise(tmp_path / "concert.wav", 90.0)
    real_home.tweeze("start")
    known = {path.name for path in real_home.folders.status.iterdir()}
    with real_home.start("separate", concert, "dog", "--out", tmp_path / "1") as process:
        until(lambda: progress_of(real_home, known) > 0.2)
        beat = real_home.beat()
        os.kill(beat.pid if killed == "engine" else beat.worker, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err in ("", f"{advice(('dog',), (0.0,))[0]}\n")  # noise is no dog
    done = real_home.tweeze("separate", concert, "dog", "--out", tmp_path / "2")
    assert (done.returncode, done.stderr) == (0, err)
    disturbed, undisturbed = (tmp_path / number / "concert - dog.wav" for number in "12")
    if killed == "engine":
        assert disturbed.read_bytes() == undisturbed.read_bytes()
    got, wanted = (soundfile.read(path)[0] for path in (disturbed, undisturbed))
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()
    assert real_home.leftovers() == []


def test_one_engine_a_user(fresh_home: Any) -> None:
    processes = [fresh_home.start("start") for _ in range(4)]
    pids = set()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        pids.add(out.split("process ")[1].split(")")[0])
    assert len(pids) == 1
    assert "was running" in fresh_home.tweeze("start").stdout
    engine = psutil.Process(int(pids.pop()))
    assert os.getsid(engine.pid) == engine.pid
    assert engine.cwd() == str(fresh_home.root), "it holds a folder of the caller's"
    done = fresh_home.tweeze("stop")
    assert (done.stdout, done.stderr) == ("The engine has ended.\n", "")
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE
    assert fresh_home.tweeze("stop").stdout == "The engine was not running.\n"
    assert "not running" in fresh_home.tweeze("status").stdout


def sleeper(seconds: float = 60) -> subprocess.Popen[bytes]:
    """A process that goes on for a while."""
    return subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])


@pytest.mark.parametrize(("seconds", "code"), [(0.5, 0), (60, -signal.SIGTERM)])
def test_no_start_leaves_a_process_that_came_too_late_to_be_the_engine(
    seconds: float, code: int, home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the engine as soon as that ends; it is given time to see that there is one."""
    late: list[subprocess.Popen[bytes]] = []

    def spawn(_folders: Folders) -> subprocess.Popen[bytes]:
        late.append(sleeper(seconds))
        return late[0]

    looks, holders = iter([None]), iter([None])  # at the first look, nobody was there yet
    living, holder = Heartbeat.of_living, launch.holder
    monkeypatch.setattr(Heartbeat, "of_living", lambda folders: next(looks, living(folders)))
    monkeypatch.setattr(launch, "holder", lambda path: next(holders, holder(path)))
    monkeypatch.setattr(launch, "_spawn", spawn)
    monkeypatch.setattr(launch, "_START", 4.0)
    beat, started = launch.ensure(home.folders, any_version=True)
    assert not started
    assert psutil.pid_exists(beat.pid)
    assert late[0].wait(0) == code


def test_an_engine_that_starts_while_another_is_stopped_ends_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = [sleeper(), sleeper()]
    monkeypatch.setattr(
        launch,
        "holder",
        lambda path: next((one.pid for one in engines if one.poll() is None), None),
    )
    assert launch.stop(Folders(tmp_path))
    assert all(one.poll() for one in engines)


def test_stopping_keeps_the_running_job(
    tmp_path: Path, noise: Callable[..., Path], until: Until
) -> None:
    from engine.job import Job

    home = Home(tmp_path / "home", standin=True)
    home.tweeze("start")
    hold = home.root / "hold"
    hold.touch()
    try:
        home.client.submit(Job("job-1", noise(tmp_path / "a.wav", 10.0), ("hold",)))
        until((home.root / "held").exists)
        assert home.tweeze("stop").returncode == 0
        status = home.client.status("job-1")
        assert status is not None
        assert status.state is JobState.QUEUED
        hold.unlink()
        home.tweeze("start")
        status = home.client.follow("job-1")
        assert status.state is JobState.DONE
        said = home.tweeze("status", "job-1").stdout
        assert str(status.clips[0].path) in said
    finally:
        launch.stop(home.folders)


def test_an_engine_that_does_not_start_says_why(fresh_home: Any) -> None:
    fresh_home.folders.make()
    fresh_home.folders.spool.chmod(0o755)
    failed = fresh_home.tweeze("start")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"run 'chmod 700 {fresh_home.folders.spool}'" in failed.stderr
    fresh_home.folders.spool.chmod(0o700)
    assert fresh_home.tweeze("start").returncode == 0


def test_the_doctor_finds_nothing_wrong_and_then_something(
    fresh_home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = fresh_home.tweeze("doctor")
    assert well.returncode == 0, well.stdout + well.stderr
    for name in ("python", "packages", "folders", "disk", "engine", "torch", "model compact"):
        assert f"ok     {name}: " in well.stdout
    # With what is wrong, too, the models are asked: test_report.py.
    monkeypatch.setattr(doctor, "_models", lambda *_: iter(()))
    fresh_home.folders.clips.chmod(0o777)
    ill = fresh_home.tweeze("doctor", "--json")
    assert ill.returncode == 1
    wrong = [check for check in json.loads(ill.stdout) if not check["ok"]]
    assert [check["name"] for check in wrong] == ["folders"]


def test_the_log_is_shown(home: Any, short_wav: Path, tmp_path: Path) -> None:
    home.tweeze("separate", short_wav, "$(reboot)", "--out", tmp_path)
    assert "'$(reboot)'" in home.tweeze("log").stdout
    assert home.tweeze("log", "-n", "1").stdout.count("\n") == 1


def test_the_version_and_the_models_are_told(home: Any) -> None:
    assert home.tweeze("--version").stdout.startswith("tweeze ")
    assert "compact" in home.tweeze("models").stdout.split()


def test_the_sign_of_life_is_gone_with_the_engine(fresh_home: Any) -> None:
    fresh_home.tweeze("start")
    assert Heartbeat.of_living(fresh_home.folders)
    fresh_home.tweeze("stop")
    assert not fresh_home.folders.heartbeat.exists()


@pytest.mark.parametrize("command", [("models", "add"), ("train", ".")])
def test_a_name_that_is_too_long_is_said_to_be(home: Any, command: tuple[str, ...]) -> None:
    done = home.tweeze(*command, "z" * 300)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_checkpoint_with_too_long_a_name_is_one_sentence(home: Any) -> None:
    said = home.tweeze("models", "add", "z" * 300).stderr
    assert said.startswith("The name 'zzzz")
    assert said.endswith("…' is too long for a file: check the path.\n")


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_newline_ends_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path))
    folders = Folders.of_user()
    folders.log.write_text(f"first\nfolder a{odd}b\n", encoding="utf-8")
    assert run(["log", "-n", "1"]) == 0
    assert capsys.readouterr().out == f"folder a{shown(odd)}b\n"
    folders.crash_log.write_text(f"first\nno file a{odd}b\n", encoding="utf-8")
    assert launch._last_words(folders) == f"no file a{odd}b"
