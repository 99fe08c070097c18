"""Tweeze Send and Tweeze Collect, for an Audacity 4 without the extension's library.

What they need of Nyquist is the same in Audacity 3, where they run here. Their boxes cannot be read
on a screen, so the plug-ins are changed in their last line: what they would say goes into a file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audacity.pipe import command
from audacity.stamping import plugin
from engine.folders import Folders
from engine.job import Job
from engine.option_types import table
from engine.options import Keep, Options
from engine.status import Clip, ClipKind, JobState, Status
from tests.hosts.audacity.editor import Editor, Screen, version, wait_for

Sound = Callable[..., Path]
NAMES = ("tweeze-send.ny", "tweeze-collect.ny")


class Place:
    """A home with an Audacity that has the two plug-ins."""

    def __init__(self, screen: Screen, home: Path) -> None:
        self.editor = Editor(screen, home)
        self.folders = Folders(home / 'its "home" Zoë')
        self.folders.make()
        self.said = home / "said"
        self.editor.prepare()
        self.editor.plugins.mkdir(parents=True)
        for name in NAMES:
            text = plugin(name, self.folders, table(Options), ["auto", "compact"])
            (self.editor.plugins / name).write_text(self._overheard(text), "utf-8")
        self.editor.start()

    def _overheard(self, text: str) -> str:
        """Return a plug-in that writes its sentence down, and shows none."""
        before, last = re.fullmatch(r"(.*\n)(\(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        return f"""{before}(setf answer {last})
(if (and (stringp answer) (string/= answer ""))
  (let ((fp (open (format nil "{self.said}/~a" (get '*track* 'index)) :direction :output)))
    (princ answer fp)
    (close fp)))
(if (stringp answer) "" answer)
"""

    def do(self, line: str) -> str:
        """Do a command of a plug-in, and return the one sentence that the user would read."""
        shutil.rmtree(self.said, ignore_errors=True)
        self.said.mkdir()
        self.editor.do(line)
        sentences = [path.read_text("utf-8") for path in self.said.iterdir()]
        assert len(sentences) <= 1
        return sentences[0] if sentences else "(no sentence)"

    def select(self, start: float, end: float, first: int = 0, count: int = 1) -> None:
        self.editor.do(
            command("SelectTracks", Track=first, TrackCount=count, Mode="Set"),
            command("SelectTime", Start=start, End=end),
        )

    def begin(self, *files: Path, rate: int = 44100) -> None:
        """Have a project of these files, and nothing in the spool."""
        self.editor.reset()
        for folder in (self.folders.jobs, self.folders.status, self.folders.mixtures):
            for path in folder.iterdir():
                path.unlink()
        self.editor.do(command("SetProject", Rate=rate))
        for path in files:
            self.editor.do(command("Import2", Filename=str(path)))

    def beat(self, age: float = 0.0) -> None:
        """Write an engine's sign of life, for which nothing else is started."""
        self.folders.heartbeat.write_text(f"tweeze=1\ntime={time.time() - age:.3f}\nend\n")

    def jobs(self) -> list[Job]:
        paths = sorted(self.folders.jobs.iterdir())
        return [Job.from_text(path.read_text("utf-8")) for path in paths]

    def answer(
        self, job: Job, *clips: Path, state: JobState = JobState.DONE, **more: object
    ) -> None:
        made = tuple(Clip(path, ClipKind.TARGET, "dog", "dog") for path in clips)
        status = Status(job.id, state, clips=made, **more)  # type: ignore[arg-type]
        (self.folders.status / job.id).write_text(status.to_text(), "utf-8")

    def heard(self, path: Path, start: float, end: float, track: int, channels: int) -> np.ndarray:
        """Return what a range of a track holds now."""
        self.select(start, end, track)
        self.editor.do(command("Export2", Filename=str(path), NumChannels=channels))
        return soundfile.read(path, dtype="float32", always_2d=True)[0]


@pytest.fixture(scope="module")
def place(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(screen, tmp_path_factory.mktemp("nyquist") / "home")
    yield made
    made.editor.stop()


def noise(path: Path, rate: int, channels: int, frames: int, peak: float) -> np.ndarray:
    rng = np.random.default_rng(frames)
    samples = rng.uniform(-peak, peak, (frames, channels)).astype("float32")
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return samples


def test_what_is_sent_is_what_is_selected(place: Place, tmp_path: Path) -> None:
    stereo = noise(tmp_path / "Zoë; 犬.wav", 48000, 2, 190_001, 1.7)  # louder than full scale
    mono = noise(tmp_path / "mono.wav", 44100, 1, 180_000, 0.5)
    place.begin(tmp_path / "Zoë; 犬.wav", tmp_path / "mono.wav", rate=48000)
    place.beat()
    place.select(0.123456, 3.2101, count=2)
    gain = "Volume" if int(version()[1]) > 5 else "Gain"  # its name since Audacity 3.6
    place.editor.do(command("SetTrackAudio", **{"Pan": -50, gain: -6}))  # neither is in the samples
    assert {row["pan"] for row in place.editor.tracks()} == {-0.5}
    said = place.do(
        'TweezeSend: query="dog - wind; Hund ü ;; hi-hat -; 犬" unwanted="wind-up toy;rain" '
        'keep="both" model="compact"'
    )
    assert said.startswith("Tweeze works on it.")
    first, second = place.jobs()
    if first.title != "Zoë; 犬":
        first, second = second, first
    assert (first.title, second.title) == ("Zoë; 犬", "mono")
    for job, source, rate in ((first, stereo, 48000), (second, mono, 44100)):
        assert job.queries == ("dog", "Hund ü", "hi-hat", "犬")
        assert job.nots == ("wind", "wind-up toy", "rain")
        assert job.options == Options(keep=Keep.BOTH, model="compact")
        assert job.mixture == place.folders.mixtures / f"{job.id}.wav"
        assert soundfile.info(job.mixture).subtype == "FLOAT"
        samples, found = soundfile.read(job.mixture, dtype="float32", always_2d=True)
        begin, end = round(0.123456 * rate), round(3.2101 * rate)
        assert found == rate
        assert len(samples) in (end - begin, end - begin - 1)  # the project's rate counts them
        assert np.array_equal(samples, source[begin : begin + len(samples)])


def test_a_clip_takes_the_place_of_a_copy(place: Place, tmp_path: Path) -> None:
    samples = [
        noise(tmp_path / "a.wav", 44100, 2, 132_300, 0.5),
        noise(tmp_path / "b.wav", 44100, 1, 132_301, 0.5),
        noise(tmp_path / "c.wav", 44100, 1, 132_302, 0.5),
    ]
    place.begin(*(tmp_path / f"{name}.wav" for name in "abc"))
    place.beat()
    place.select(0.5, 2.5, count=3)
    for query in ("cat", "dog"):  # the later answer is the one that is fetched
        place.do(f'TweezeSend: query="{query}" keep="the sound"')
    jobs = sorted(place.jobs(), key=lambda job: (job.queries, job.title))
    assert [job.queries for job in jobs] == [("cat",)] * 3 + [("dog",)] * 3
    clips = []
    for number, job in enumerate(jobs):
        channels = soundfile.info(job.mixture).channels
        paths = [tmp_path / f"{number}-{which}.wav" for which in (1, 2)]
        clips.append([noise(path, 44100, channels, 88_200, 0.1 * number + 0.1) for path in paths])
        place.answer(job, *paths)
    place.editor.do("Duplicate:")
    place.select(0.5, 2.5, first=3, count=3)
    assert place.do("TweezeCollect: which=2") == "(no sentence)"
    for track in (3, 4, 5):
        clip = clips[track][1]
        channels = clip.shape[1]
        assert np.array_equal(place.heard(tmp_path / "out.wav", 0.5, 2.5, track, channels), clip)
    for track, source in enumerate(samples):
        whole = place.heard(tmp_path / "out.wav", 0.0, 3.0, track, source.shape[1])
        assert np.array_equal(whole, source[:132_300])


def test_what_cannot_be_sent_is_said(place: Place, sound: Sound) -> None:
    place.begin(sound("a", seconds=2.0), sound("b", seconds=2.0))
    place.select(0.5, 1.5, count=2)
    place.beat()
    for query in (" ; ", "-rain", "; - rain - wind"):
        assert "description is empty" in place.do(command("TweezeSend", query=query))
    place.beat(age=60)
    assert "'tweeze start'" in place.do('TweezeSend: query="dog"')
    place.folders.heartbeat.unlink()
    assert "'tweeze start'" in place.do('TweezeSend: query="dog"')
    assert place.jobs() == []
    assert list(place.folders.mixtures.iterdir()) == []
    place.beat()
    assert place.do('TweezeSend: query="dog"').startswith("Tweeze works on it.")
    assert len(place.jobs()) == 2


def test_a_spool_that_cannot_be_written_is_said(place: Place, sound: Sound) -> None:
    place.begin(sound("a", seconds=2.0))
    place.select(0.5, 1.5)
    place.beat()
    mixtures = place.folders.mixtures
    mixtures.rmdir()
    try:
        said = place.do('TweezeSend: query="dog"')
    finally:
        mixtures.mkdir(mode=0o700)
    assert "is the disk full?" in said
    assert place.jobs() == []


def test_what_cannot_be_collected_is_said(place: Place, sound: Sound, tmp_path: Path) -> None:
    source = sound("a", seconds=2.0, channels=1)
    place.begin(source)
    place.select(0.5, 1.5)
    place.beat()
    assert place.do("TweezeCollect:").startswith("No answer fits what is selected")
    place.do('TweezeSend: query="dog"')
    (job,) = place.jobs()

    place.answer(job, state=JobState.RUNNING, progress=0.42)
    assert "still at it (42 %)" in place.do("TweezeCollect:")
    place.beat(age=60)
    assert "'tweeze start'" in place.do("TweezeCollect:")
    place.answer(job, state=JobState.FAILED, message="The disk is full: free some space.")
    assert place.do("TweezeCollect:") == "Tweeze: The disk is full: free some space."
    place.answer(job, state=JobState.CANCELLED)
    assert "cancelled" in place.do("TweezeCollect:")
    clip = tmp_path / "clip.wav"
    noise(clip, 44100, 1, 44_100, 0.5)
    place.answer(job, clip)
    assert "has 1 clip:" in place.do("TweezeCollect: which=2")
    place.answer(job, tmp_path / "gone.wav")
    assert "no longer there" in place.do("TweezeCollect:")
    noise(clip, 44100, 1, 44_099, 0.5)
    place.answer(job, clip)
    assert "no longer there" in place.do("TweezeCollect:")
    place.select(0.5, 1.4)
    assert place.do("TweezeCollect:").startswith("No answer fits what is selected")
    whole = place.heard(tmp_path / "out.wav", 0.0, 2.0, 0, 1)
    assert np.array_equal(whole[:, 0], soundfile.read(source, dtype="float32")[0])


def test_an_engine_answers(place: Place, sound: Sound, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TWEEZE_HOME": str(place.folders.root),
        "TWEEZE_OSC_PORT": "0",
    }

    def tweeze(word: str) -> None:
        words = [sys.executable, "-m", "bridge.cli", word]
        root = Path(__file__).parents[3]
        subprocess.run(words, env=environment, cwd=root, check=True, timeout=60)

    source = sound("yard", 48000, 2, 3.0)
    place.begin(source, rate=48000)
    place.folders.heartbeat.unlink(missing_ok=True)
    tweeze("start")
    try:
        place.select(0.5, 2.5)
        place.do('TweezeSend: query="dog" keep="both"')

        def ended() -> Status | None:
            for path in place.folders.status.iterdir():
                status = Status.from_text(path.read_text("utf-8"))
                if status.state.final:
                    return status
            return None

        status = wait_for(ended, "the job's end", 60)
        assert status is not None
        assert status.state is JobState.DONE, status.message
        place.editor.do("Duplicate:", "Duplicate:")
        for track, which in ((1, 1), (2, 2)):
            place.select(0.5, 2.5, first=track)
            place.do(f"TweezeCollect: which={which}")
    finally:
        tweeze("stop")
    target = place.heard(tmp_path / "out.wav", 0.5, 2.5, 1, 2)
    rest = place.heard(tmp_path / "out.wav", 0.5, 2.5, 2, 2)
    for clip, got in zip(status.clips, (target, rest), strict=True):
        assert np.array_equal(got, soundfile.read(clip.path, dtype="float32")[0])
    mixture = soundfile.read(source, dtype="float32")[0][24000:120000]
    assert np.abs(target + rest - mixture).max() <= 2**-22
