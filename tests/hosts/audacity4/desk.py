"""A musician's desk: the fake Audacity 4 with Tweeze's extension, beside a real engine."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audacity.extension import build as building
from audacity.extension import scripts
from bridge import launch
from engine.errors import TweezeError
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.queue.lock import holder
from engine.status import JobState, Status
from tests.hosts.audacity4.fake import Host, Instance, Run
from tests.hosts.audacity4.project import Audio, AudioTrack, Project, Samples, Semantics

ROOT = Path(__file__).parents[3]
DEADLINE = 180.0  # seconds until what must happen counts as not happening
PATIENCE = 30.0  # seconds that the extension waits for a silent engine, as it is shipped


class OverdueError(AssertionError):
    """What must happen has not happened in time: nobody can tell a hang from a slow machine."""


def until(condition: Callable[[], object], what: str = "it") -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise OverdueError(f"{what} did not happen")
        time.sleep(0.005)


@functools.lru_cache(maxsize=1)
def library() -> Path:
    """Return the library, built as it is for users."""
    folder = Path(tempfile.mkdtemp(prefix="tweeze-extension-"))
    try:
        return building.build(building.this_target(), folder)
    except TweezeError as error:
        pytest.skip(f"NO EXTENSION OF AUDACITY 4 WAS TRIED: {error}")


def compiled(source: Path) -> Path:
    """Return a library from another source; quickly built."""
    path = source.with_name("odd.so")
    words = ["cc", "-std=c11", "-shared", "-fPIC", "-pthread", str(source), "-o", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    return path


def bundle(folder: Path, home: Path, built: Path, *, patience: float = PATIENCE) -> Path:
    """Install the extension into a folder, as `tweeze install audacity` does."""
    folder.mkdir(parents=True)
    for path in scripts():
        shutil.copy(path, folder)
    place = building.built(building.this_target(), folder)
    place.parent.mkdir(parents=True)
    shutil.copy(built, place)
    where = json.dumps({"home": str(home), "patience": patience})
    (folder / "where.js").write_text(f"module.exports = {where}\n")
    return folder


class Engine:
    """A real resident engine with stand-in models, which can be killed and started."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hosts.audacity4.standin_engine"],
            env={**os.environ, "TWEEZE_HOME": str(self.folders.root), "PYTHONPATH": paths},
            cwd=ROOT,
            start_new_session=True,
        )
        until(lambda: Heartbeat.of_living(self.folders) is not None, "the engine's start")

    def ensure(self) -> None:
        if Heartbeat.of_living(self.folders) is None:
            self.start()

    def kill(self) -> None:
        """End it as a crash would: no last words."""
        pid = holder(self.folders.lock)
        assert pid
        os.kill(pid, 9)
        if self._process is not None:
            self._process.wait()
        until(lambda: holder(self.folders.lock) is None, "the engine's end")

    def stop(self) -> None:
        launch.stop(self.folders)
        if self._process is not None:
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def engine(root: Path) -> Iterator[Engine]:
    made = Engine(Folders(root))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@dataclass
class Outcome:
    went: bool
    text: str
    added: list[Any]


class Desk:
    """One Audacity 4 with one project."""

    def __init__(
        self,
        folder: Path,
        folders: Folders,
        *,
        semantics: Semantics | None = None,
        extension: Path,
    ) -> None:
        self.folder = folder
        self.folders = folders
        self.semantics = semantics or Semantics()
        self.project = Project()
        self.extension = extension
        self.host = Host(self.extension, self.project, self.semantics)
        self._sounds = np.random.default_rng(4)
        self._known = set(folders.status.glob("[!.]*"))

    # Setting up.

    def track(
        self,
        seconds: float = 0.5,
        *,
        rate: float = 48000,
        channels: int = 1,
        name: str = "yard",
        at: float = 0.0,
        selected: bool = True,
    ) -> AudioTrack:
        """Add a track of noise: no two places in it are alike."""
        track = AudioTrack(name, rate, channels, selected=selected)
        self.project.tracks.append(track)
        self.clip(track, seconds, at)
        return track

    def clip(self, track: AudioTrack, seconds: float, at: float = 0.0) -> None:
        frames = round(seconds * track.rate)
        noise = self._sounds.uniform(-0.5, 0.5, (track.channels, frames)).astype(np.float32)
        track.clips.append(Audio(round(at * track.rate), noise))

    def select(self, start: float, end: float) -> None:
        self.project.start, self.project.end = start, end

    # Doing.

    def begin(self, effect: str = "separate", **given: Any) -> Run:
        """Open an effect, fill in its dialog, and apply it to the first range."""
        instance = self.host.open(effect)
        settings = instance.settings(**given)
        assert instance.validate(settings) == ""
        return Run(instance, settings, self.host.ranges()[0])

    def finish(self, run: Run, while_: Callable[[], object] = lambda: None) -> Outcome:
        """Let a run come to its end, and have the host do what it does then."""
        self.step_until(lambda: run.over, "the run's end", run, while_)
        return self._ended(run.instance, [run])

    def step_until(
        self,
        condition: Callable[[], object],
        what: str,
        run: Run,
        while_: Callable[[], object] = lambda: None,
    ) -> None:
        deadline = time.monotonic() + DEADLINE
        pause = 0.001
        while not condition():
            if time.monotonic() > deadline:
                raise OverdueError(f"{what} did not happen: {run.task.reports[-1:]}")
            run.step()
            while_()
            time.sleep(pause)
            pause = min(1.02 * pause, 0.01)  # a wait that is long by now is one for the engine

    def do(self, effect: str = "separate", *, again: bool = False, **given: Any) -> Outcome:
        """Apply an effect to everything that is selected, and wait for its end."""
        instance = self.host.open(effect)
        settings = instance.settings(**given)
        if not again or self.semantics.validates_again:
            refused = instance.validate(settings)
            if refused:
                instance.close()
                return Outcome(False, refused, [])
        runs: list[Run] = []
        for range_ in self.host.ranges():
            runs.append(Run(instance, settings, range_))
            run = runs[-1]
            self.step_until(lambda run=run: run.over, "the run's end", run)  # type: ignore[misc]
            if not run.went:
                break
        return self._ended(instance, runs)

    def _ended(self, instance: Instance, runs: list[Run]) -> Outcome:
        went = all(run.went for run in runs)
        edits = [run.edit for run in runs if run.edit is not None]
        before = len(self.project.tracks)
        if went and edits:
            self.host.apply(instance.about["title"], edits)
        instance.close()
        self.settle(instance)
        assert self.host.faults == [], self.host.faults
        assert set(self.host.blocking) <= {"version"}, "a native call blocks the window"
        return Outcome(went, runs[-1].text, self.project.tracks[before:])

    def settle(self, instance: Instance) -> None:
        """Let what is still in the air come down."""
        self.host.holding = False
        deadline = time.monotonic() + DEADLINE
        while instance.flying:
            assert time.monotonic() < deadline, "a native call does not end"
            self.host.turn()

    def on(self, call: str, do: Callable[[], object], *, number: int = 1) -> None:
        """Do something when the extension makes a native call for the so-manieth time."""
        left = [number]

        def watch(name: str) -> None:
            left[0] -= name == call
            if not left[0] and name == call:
                do()

        self.host.watchers.append(watch)

    # Looking.

    def recent(self) -> list[Status]:
        """What the engine says of the jobs that were sent from here, in their order."""
        found = sorted(set(self.folders.status.glob("[!.]*")) - self._known)
        return sorted(
            (Status.from_text(path.read_text()) for path in found),
            key=lambda status: int(status.id.rpartition("-")[2]),
        )

    def jobs(self) -> list[Job]:
        from engine.queue.journal import Journal

        with contextlib.closing(Journal(self.folders.journal)) as journal:
            entries = [journal.get(status.id) for status in self.recent()]
        return [entry.job for entry in entries if entry is not None]

    def clips(self) -> list[tuple[str, Samples, int]]:
        """Return the engine's clips in their order: name, samples `(channels, frames)`, rate."""
        found = []
        for status in self.recent():
            assert status.state is JobState.DONE, status.message
            for clip in status.clips:
                samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
                found.append((clip.name, samples.T, rate))
        return found

    def check_clips(self, outcome: Outcome, start: float) -> None:
        """What is in the project is what the engine made, sample for sample, and in its place."""
        assert outcome.went, outcome.text
        clips = self.clips()
        assert [track.name for track in outcome.added] == [name for name, _, _ in clips]
        for track, (_, samples, rate) in zip(outcome.added, clips, strict=True):
            assert track.rate == rate
            (clip,) = track.clips
            assert clip.samples.dtype == np.float32
            np.testing.assert_array_equal(clip.samples, samples)
            assert clip.start == round(start * rate)
            assert abs(track.start - start) <= 0.5 / rate

    def nothing_is_left(self) -> None:
        until(lambda: not list(self.folders.jobs.glob("*")), "the taking of the jobs")
        until(lambda: not list(self.folders.mixtures.glob("*")), "the removal of the mixtures")
        assert not list(self.folders.cancel.glob(".*"))


class Maker:
    """Makes desks beside one engine; `change` is done to each one's extension before it opens."""

    def __init__(
        self,
        folder: Path,
        folders: Folders,
        built: Path,
        change: Callable[[Path], object] = lambda extension: None,
    ) -> None:
        self._folder = folder
        self._folders = folders
        self._built = built
        self._change = change
        self.desks: list[Desk] = []

    def __call__(
        self, *, patience: float = PATIENCE, home: Path | None = None, **switches: Any
    ) -> Desk:
        folder = self._folder / str(len(self.desks))
        folders = Folders(home) if home is not None else self._folders
        extension = bundle(folder / "extension", folders.root, self._built, patience=patience)
        self._change(extension)
        self.desks.append(
            Desk(folder, folders, semantics=Semantics(**switches), extension=extension)
        )
        return self.desks[-1]

    def close(self) -> None:
        for desk in self.desks:
            desk.host.pool.shutdown()
