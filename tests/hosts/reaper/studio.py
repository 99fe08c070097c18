"""A musician's desk: the strict fake REAPER with Tweeze's scripts, beside a real engine."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bridge import launch
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.queue.lock import holder
from engine.status import Status
from engine.text_form import lines
from tests.hosts.reaper.fake import FakeReaper, Script
from tests.hosts.reaper.project import Item, Project, Samples, Semantics, Track

ROOT = Path(__file__).parents[3]
LUA = ROOT / "reaper"
DEADLINE = 180.0  # seconds until what must happen counts as not happening


def copy_scripts(target: Path) -> Path:
    target.mkdir(parents=True)
    shutil.copytree(LUA / "tweeze", target / "tweeze")
    for script in LUA.glob("*.lua"):
        shutil.copy(script, target)
    return target


def standin_command() -> list[str]:
    return [sys.executable, "-m", "tests.hosts.reaper.standin_engine"]


def environment(folders: Folders) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    return {**os.environ, "TWEEZE_HOME": str(folders.root), "PYTHONPATH": paths}


class Engine:
    """A real resident engine; `model` is `compact` or `stand-in`."""

    def __init__(self, folders: Folders, model: str) -> None:
        self.folders = folders
        self.model = model
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """What starts it, in the words of `where.txt`."""
        start = [sys.executable, "-m", "bridge.cli", "start"]
        given = environment(self.folders)
        words = [f"{name}={given[name]}" for name in ("TWEEZE_HOME", "PYTHONPATH")]
        return ["env", *words, *(start if self.model == "compact" else standin_command())]

    def start(self) -> None:
        if self.model == "compact":
            launch.ensure(self.folders)
            return
        self._process = subprocess.Popen(  # ended in `kill` or `stop`
            standin_command(), env=environment(self.folders), cwd=ROOT, start_new_session=True
        )
        until(lambda: Heartbeat.of_living(self.folders) is not None)

    def ensure(self) -> None:
        """Start it if it does not run."""
        if Heartbeat.of_living(self.folders) is None:
            self.start()

    def kill(self) -> None:
        """End it as a crash would: no last words."""
        pid = holder(self.folders.lock)
        assert pid
        os.kill(pid, 9)
        if self._process is not None and self._process.pid == pid:
            self._process.wait()
        until(lambda: holder(self.folders.lock) is None)

    def stop(self) -> None:
        launch.stop(self.folders)
        if self._process is not None:
            self._process.wait()
            self._process = None


class OverdueError(AssertionError):
    """What must happen has not happened in time: nobody can tell a hang from a slow machine."""


def until(condition: Callable[[], object], what: str = "it") -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise OverdueError(f"{what} did not happen")
        time.sleep(0.005)


class Studio:
    """One REAPER with one project, set up anew for each scenario."""

    def __init__(
        self,
        folder: Path,
        folders: Folders,
        scripts: Path,
        *,
        start: list[str] | None = None,
        semantics: Semantics | None = None,
    ) -> None:
        self.folder = folder
        self.folders = folders
        self.scripts = scripts
        folder.mkdir(parents=True, exist_ok=True)
        where = [("home", str(folders.root))]
        if start:
            where.append(("start", shlex.join(start)))
        (scripts / "tweeze" / "where.txt").write_text(lines(where))
        self.reaper = FakeReaper(folder / "resource", semantics)
        self.forget_statuses()
        self._sounds = np.random.default_rng(6)

    # Setting up.

    @property
    def project(self) -> Project:
        return self.reaper.project

    def wav(
        self,
        seconds: float = 0.5,
        *,
        rate: int = 32000,
        channels: int = 2,
        name: str = "street.wav",
        subtype: str = "FLOAT",
    ) -> Path:
        """Noise: no two places in it are alike."""
        path = self.folder / name
        samples = self._sounds.uniform(-0.5, 0.5, (round(seconds * rate), channels))
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    def item(
        self, audio: Any = None, *values: Any, track: Track | None = None, **more: Any
    ) -> Item:
        """Add a selected item, on a track of its own where none is named."""
        track = track or self.project.add_track(f"Take {len(self.project.tracks) + 1}")
        return track.add(audio or self.wav(), *values, **{"selected": True, **more})

    # Doing.

    def begin(self, action: str, *keys: Any) -> Script:
        return self.reaper.run(self.scripts / f"Tweeze - {action}.lua", list(keys))

    def separate(self, text: str = "dog", *choices: Any) -> Script:
        """Run the action, type a query, press Enter."""
        return self.begin("separate selection", *text, *choices, "enter")

    def wait(self, script: Script) -> None:
        self.cycle_until(lambda: script.ended, f"the end of {script.path.name}")

    def cycle_until(self, condition: Callable[[], object], what: str = "it") -> None:
        deadline = time.monotonic() + DEADLINE
        pause = 0.001
        while not condition():
            if time.monotonic() > deadline:
                raise OverdueError(f"{what} did not happen: {self.reaper.boxes}")
            self.reaper.cycle()
            time.sleep(pause)
            pause = min(1.02 * pause, 0.01)  # a wait that is long by now is one for the engine

    def do(self, text: str = "dog", *choices: Any) -> None:
        """Separate, wait, and check what must be true after every success."""
        before, marked = self.project.state(), self.project.marked()
        project = self.project
        self.wait(self.separate(text, *choices))
        assert self.reaper.boxes == [], self.reaper.boxes
        assert len(project.undo) == 1, "one undo step"
        assert not any(track.effects for track in project.tracks), "effects on a new track"
        label, flags, undo_to, redo_to = project.undo[0]
        assert label == f"Tweeze: {', '.join(q.strip() for q in text.split(';'))}"
        assert flags == -1
        assert undo_to == before
        assert redo_to == project.state()
        assert project.marked() == marked, "selection, cursor or view have changed"
        self.nothing_is_left()

    # Looking.

    def recent(self) -> list[Status]:
        """What the engine says of the jobs that were sent from here."""
        found = sorted(set(self.folders.status.glob("[!.]*")) - self._known)
        return [Status.from_text(path.read_text()) for path in found]

    def jobs(self) -> list[Job]:
        """The jobs that were sent from here, in their order, as the engine took them."""
        with contextlib.closing(sqlite3.connect(self.folders.journal)) as journal:
            rows = list(journal.execute("SELECT id, job FROM jobs ORDER BY accepted"))
        mine = {status.id for status in self.recent()}
        return [Job.from_text(text) for id_, text in rows if id_ in mine]

    def forget_statuses(self) -> None:
        self._known = set(self.folders.status.glob("[!.]*"))

    def nothing_is_left(self) -> None:
        pending = self.reaper.resource / "Data/Tweeze/pending"
        assert not list(pending.glob("*")), "a note is left"
        until(lambda: not list(self.folders.mixtures.iterdir()), "the removal of the mixtures")
        assert not list(self.project.folder.rglob(".*")), "an unfinished clip is left"

    def clip(self, item: Item) -> Samples:
        assert item.take.source is not None
        assert item.take.source.path is not None
        path = item.take.source.path
        assert path.parent == self.project.folder, "the clip does not live with its project"
        assert soundfile.info(path).subtype == "FLOAT"
        return soundfile.read(path, dtype="float64", always_2d=True)[0]

    def box(self) -> str:
        """What REAPER's user was told last, in a box."""
        assert self.reaper.boxes, "the user was told nothing"
        return self.reaper.boxes.pop()

    def names(self) -> list[str]:
        return [track.name for track in self.project.tracks]

    def heard(self, *items: Item) -> Samples:
        """What plays of items on one track, at item level, from the project's start."""
        rate = items[0].take.source.rate  # type: ignore[union-attr]
        frames = round(max(item.start + item.length for item in items) * rate) + 8
        semantics = Semantics()
        return sum(item.play(semantics, rate, 0.0, frames) for item in items)  # type: ignore[return-value]


@contextlib.contextmanager
def engine(root: Path, model: str) -> Iterator[Engine]:
    folders = Folders(root)
    made = Engine(folders, model)
    made.start()
    try:
        yield made
    finally:
        made.stop()
