"""Clocks that disagree: who is alive, and how old a file is, must not depend on them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lupa.lua54
import pytest
from odd_disk import odd_disk

from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import FRESH, Heartbeat
from engine.queue.lock import ProcessLock
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import lines
from reaper.resident import ReaperResident
from tests.faults.resident import ROOT, resident, until, write_noise
from tests.faults.test_disk import Disk, disk

__all__ = ["disk"]  # a fixture

DAY = 24 * 3600
LUA = """
local scripts, spool = ...
package.path = scripts .. '/?.lua'
reaper = { GetOS = function() return 'Other' end }
local home = require 'tweeze.home'
return home.heartbeat({ spool = spool }) ~= nil, home.find('/nowhere/').root
"""


def lua(folders: Folders) -> tuple[bool, str]:
    """Return what REAPER's scripts hold for true: whether the engine lives, and its usual home."""
    alive, root = lupa.lua54.LuaRuntime().execute(LUA, str(ROOT / "reaper"), str(folders.spool))
    return bool(alive), str(root)


def alive_to_lua(folders: Folders) -> bool:
    return lua(folders)[0]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "home")


@pytest.fixture
def command(folders: Folders) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `tweeze` with its home on a file server whose clock is `skew` seconds off."""

    def run(*words: object, skew: int = 0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *map(str, words)],
            env={
                **odd_disk(folders.root, skew=skew),
                "TWEEZE_HOME": str(folders.root),
                "TWEEZE_OSC_PORT": "0",
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    yield run
    run("stop")


@pytest.mark.fault(
    "the home folder lies on a file server whose clock is off, by seconds or by a month",
    promise="the engine answers, does jobs and can be stopped, as anywhere",
)
@pytest.mark.parametrize("skew", [-30 * DAY, -40, 40, 30 * DAY])
def test_a_file_server_with_another_clock(
    folders: Folders, command: Any, tmp_path: Path, skew: int
) -> None:
    started = command("start", skew=skew)
    assert (started.returncode, started.stderr) == (0, "")
    facts = json.loads(command("status", "--json", skew=skew).stdout)
    assert facts["running"]
    if skew in (-30 * DAY, 40):  # one of each kind is enough of what takes longest
        mixture = write_noise(tmp_path / "mixture.wav", 1.0)
        done = command("separate", mixture, "dog", "--out", tmp_path, skew=skew)
        assert done.returncode == 0, done.stderr
    assert command("stop", skew=skew).stdout == "The engine has ended.\n"


@pytest.mark.fault(
    "the file server's clock is a month off when the engine cleans up",
    promise="what is young stays, and what is old goes, by the server's clock",
)
@pytest.mark.parametrize("skew", [-30 * DAY, 30 * DAY])
def test_cleaning_by_the_servers_clock(folders: Folders, skew: int) -> None:
    folders.make()
    ages = {"young": 60, "old": 20 * DAY}
    made: dict[str, list[Path]] = {}
    for name, age in ages.items():
        scraps = folders.clips / f"{name}-clips"  # else its status would wait for them to go
        scraps.mkdir()
        answer = folders.spool / "reaper" / "answers" / name
        answer.parent.mkdir(parents=True, exist_ok=True)
        files = [folders.status / name, folders.mixtures / f"{name}.wav", answer]
        for path in files:
            path.write_text(Status(name, JobState.DONE).to_text())
        made[name] = [scraps, *files]
        for path in made[name]:
            os.utime(path, (time.time() - age, time.time() - age))
    with resident(folders.root, **odd_disk(folders.root, skew=skew)):
        until(lambda: not any(path.exists() for path in made["old"]), "the end of what is old")
        assert all(path.exists() for path in made["young"])
    assert not list(folders.root.rglob(".clock*"))


async def _quiet(sentence: str) -> None:
    """Show nothing on the desktop."""


@pytest.mark.fault(
    "REAPER's script says that it lives, on a file server whose clock is off",
    promise="it is believed, by the time that it says",
)
def test_reapers_sign_of_life(folders: Folders) -> None:
    folders.make()
    queue = SimpleNamespace(
        folders=folders,
        is_admitted=lambda id_: True,
        status=lambda id_: Status(id_, JobState.QUEUED),
    )
    host = ReaperResident(queue, _quiet)  # type: ignore[arg-type]
    alive, told = folders.spool / "reaper" / "alive", []
    alive.write_text(lines([("tweeze", "1"), ("time", str(int(time.time())))]))
    os.utime(alive, (1, 1))
    request = Request("r1", "reaper", (("action", "separate"), ("query", "dog")))
    wish, answer = (alive.parent / name / "r1" for name in ("wishes", "answers"))

    async def scenario() -> None:
        work = asyncio.create_task(host.handle(request, told.append))
        while not wish.exists():
            assert not work.done(), work.exception()
            await asyncio.sleep(0.01)
        replace_text(answer, lines([("state", "sent"), ("message", ""), ("job", "j1")]))
        await work

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert [status.message for status in told] == ["Jobs: j1."]


@pytest.mark.fault(
    "the disk is full for longer than a sign of life lasts",
    promise="the engine is alive for Python and for REAPER's scripts alike, and tells what it does",
)
def test_alive_on_a_full_disk(disk: Disk) -> None:
    folders = Folders(disk.path / "home")
    with resident(folders.root) as engine:
        write_noise(disk.path / "mixture.wav", 10.0)
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            (folders.spool / "probe").write_bytes(b"x" * 5000)
        full = time.time()
        until(lambda: (b := Heartbeat.read(folders.heartbeat)) and b.time > full + FRESH + 1)
        assert engine.beat() is not None
        assert alive_to_lua(folders)
        (folders.spool / "probe").unlink()
        disk.free()
        (folders.root / "hold").touch()
        engine.client.submit(Job("job-1", disk.path / "mixture.wav", ("hold",)))
        until((folders.root / "held").exists)
        disk.fill()
        beat = engine.beat()
        assert beat is not None
        until(lambda: (b := engine.beat()) is not None and b.running == "job-1")
        disk.free()
        (folders.root / "hold").unlink()
        assert engine.final("job-1").state is JobState.DONE
        engine.kill()
        assert engine.beat() is None
        until(lambda: not alive_to_lua(folders), "the end of the sign of life")


@pytest.mark.parametrize("off", [-FRESH - 1, -FRESH + 1.5, FRESH - 1.5, FRESH + 1])
def test_python_and_lua_mean_the_same(folders: Folders, off: float) -> None:
    folders.make()
    (folders.lock).write_text(f"{os.getpid()}\n")
    Heartbeat(os.getpid()).write(folders.heartbeat)
    text = folders.heartbeat.read_text()
    lock = ProcessLock(folders.lock)
    assert lock.take()
    now = int(time.time())
    said = text.replace(text.partition("time=")[2].partition("\n")[0], str(int(now + off)))
    folders.heartbeat.write_text(said)
    os.utime(folders.heartbeat, (1, 1))
    assert (Heartbeat.of_living(folders) is not None) is (abs(off) < FRESH)
    assert alive_to_lua(folders) is (abs(off) < FRESH)
    lock.drop()


@pytest.mark.parametrize("named", ["", "relative/data", "."])
def test_lua_ignores_an_xdg_folder_that_says_nothing(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TWEEZE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", named)
    assert lua(Folders(tmp_path))[1] == f"{tmp_path}/.local/share/tweeze"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert lua(Folders(tmp_path))[1] == f"{tmp_path}/data/tweeze"
