"""From the menu to the new track, as a user does it: mouse, keys, a real engine.

All tests share one home, in which nothing but `tweeze install audacity` was run, one engine and
one Audacity; each begins with an empty project.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from panels import Page

from audacity.install import install
from audacity.pipe import command
from audacity.places import Editor as Installation
from engine.errors import HostError
from engine.folders import Folders
from engine.job import Job
from engine.options import Keep, Options
from engine.places import Band, Span
from engine.queue.heartbeat import Heartbeat
from engine.status import Status
from tests.hosts.audacity.editor import (
    FROM,
    MODULE,
    ROOT,
    TO,
    Editor,
    Screen,
    wait_for,
)

Sound = Callable[..., Path]
PICTURES = os.environ.get("TWEEZE_TEST_PICTURES")  # a folder for the handbook's pictures
DEMO = Path(__file__).parents[3] / "engine/demo/mixture.flac"


CROP = ("-trim", "+repage", "+dither", "-colors", "48")  # to the window


class Studio:
    """A user's home with an engine and an Audacity in it."""

    def __init__(self, screen: Screen, home: Path) -> None:
        self.screen = screen
        self.editor = Editor(screen, home)
        self.folders = Folders(home / ".local/share/tweeze")
        self.environment = {
            k: v
            for k, v in self.editor.environment.items()
            if k not in ("TWEEZE_HOME", "XDG_RUNTIME_DIR")
        }
        self.browsed = home / "browsed"
        browser = home / "browser"
        browser.parent.mkdir(parents=True, exist_ok=True)
        browser.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> "${0%er}ed"\n')
        browser.chmod(0o755)
        self.environment["BROWSER"] = str(browser)
        self._heard = 0

    def tweeze(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
        )

    def install(self) -> None:
        if str(ROOT) == "/":
            done = self.tweeze("install", "audacity")
            assert done.returncode == 0, done.stderr
            return
        # The Audacity to be tested lies in another root folder, where `find` does not look.
        changed = int((ROOT / MODULE.relative_to("/")).stat().st_mtime)
        self.folders.make()
        place = Installation(self.editor.settings, self.editor.plugins, MODULE, changed)
        install(place, self.folders, ["auto", "compact"])
        assert self.tweeze("start").returncode == 0

    def open(self) -> None:
        """Start Audacity, see it greet its new user, and send the greeting away."""
        self.editor.start(ready=False)
        wait_for(lambda: self.screen.windows("^Welcome"), "the greeting", 60)
        wait_for(self._without_greeting, "the greeting's end", 20)
        self.editor.wait_until_ready()

    def _without_greeting(self) -> bool:
        for window in self.screen.windows("^Welcome"):
            self.screen.xdotool("windowactivate", window, check=False)
            self.screen.key("Escape")
            time.sleep(0.2)
            if self.screen.windows("^Welcome"):  # Escape may go nowhere: press its OK
                width, height = self.screen.geometry(window)[2:]
                at = ["mousemove", "--window", window, str(width - 48), str(height - 25)]
                self.screen.xdotool(*at, "sleep", "0.05", "mousedown", "1", check=False)
                self.screen.xdotool("sleep", "0.1", "mouseup", "1", check=False)
                time.sleep(0.2)
        return not self.screen.windows("^Welcome")

    def reopen(self) -> None:
        """Start Audacity anew, without the lost project that it would offer to recover."""
        self.editor.stop()
        shutil.rmtree(self.editor.home / "tmp")
        (self.editor.home / "tmp").mkdir()
        self.open()

    def empty(self) -> None:
        with self.editor.pipe() as pipe:
            pipe.do("SelectAll:")
            pipe.do("RemoveTracks:")

    def load(self, *files: Path) -> None:
        with self.editor.pipe() as pipe:
            for file in files:
                pipe.do(command("Import2", Filename=file))

    def mark(self, tracks: list[int], start: float, end: float) -> None:
        with self.editor.pipe() as pipe:
            pipe.do(command("SelectTime", Start=f"{start:.9f}", End=f"{end:.9f}"))
            for number, track in enumerate(tracks):
                mode = "Add" if number else "Set"
                pipe.do(command("SelectTracks", Track=track, TrackCount=1, Mode=mode))

    def main_window(self) -> str:
        def projects() -> list[str]:
            return [
                window
                for window in self.screen.windows(".+")
                if not re.fullmatch(r"|Openbox|Tweeze.*", self.screen.title(window))
            ]

        found = wait_for(projects, "the project window")
        return max(found, key=lambda window: self.screen.geometry(window)[2])

    def menu(self, item: int) -> None:
        """Choose from Tools > Tweeze: 0 Tweeze..., 1 Again, 2 Cancel, 3 Panel, 4 Status."""
        self.screen.focus(self.main_window())
        wait_for(self._opens_tools, "the menu Tools", 30)
        self.screen.key("Up", "Right")
        wait_for(lambda: self._menus() == 2, "the menu Tweeze")
        self.screen.key(*["Down"] * item, "Return")
        wait_for(lambda: self._menus() == 0, "the menus' end")

    def _menus(self) -> int:
        found = self.screen.windows("^audacity$")  # and an empty project's, "Audacity"
        return [self.screen.title(window) for window in found].count("audacity")

    def _opens_tools(self) -> bool:
        self.screen.key("Escape", "alt+o")  # what is half open would take the keys
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self._menus() == 1, "the menu", 3)
            return True
        return False

    def ask(
        self,
        query: str,
        *,
        unwanted: str = "",
        keep: Keep = Keep.TARGET,
        mute: bool = False,
        picture: str = "",
    ) -> None:
        """Fill in the dialog and press Return."""
        self.menu(0)
        self.screen.focus(self.screen.window("^Tweeze$"))
        self.screen.key("ctrl+a", "BackSpace")
        if query:
            self.screen.type(query)
        self.screen.key("Tab", "ctrl+a", "BackSpace")  # Audacity fills in what was typed last
        if unwanted:
            self.screen.type(unwanted)
        keys = ["Tab", "Home", *["Down"] * list(Keep).index(keep)]
        keys += ["Tab", "Home", *["Down"] * mute, *["shift+Tab"] * 3]
        self.screen.key(*keys)
        if picture and PICTURES:
            self.screen.picture(Path(PICTURES) / picture, *CROP)
        self.screen.key("Return")

    def box(self) -> None:
        """Wait for a message box, and close it."""

        def shown() -> bool:
            return any(self.screen.geometry(w)[3] < 200 for w in self.screen.windows("^Tweeze"))

        wait_for(shown, "a message box")

        def gone() -> bool:
            for window in self.screen.windows("^Tweeze"):
                self.screen.xdotool("windowactivate", window, check=False)
                self.screen.key("Escape")  # Return would reach the track behind the box, too
            with contextlib.suppress(AssertionError):
                wait_for(lambda: not self.screen.windows("^Tweeze"), "its end", 0.2)
                return True
            return False

        wait_for(gone, "its end")

    def _sentences(self) -> list[str]:
        return re.findall(r"tweeze\.notify: (.*)", self.folders.log.read_text("utf-8"))

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Print what the engine wrote last if what comes now fails."""
        try:
            yield
        except AssertionError:
            print("\n".join(self.folders.log.read_text("utf-8").splitlines()[-40:]))
            raise

    def listen(self) -> None:
        self._heard = len(self._sentences())

    def says(self, pattern: str, seconds: float = 40.0) -> str:
        """Wait for the next sentence on the desktop, which must match."""
        wait_for(lambda: len(self._sentences()) > self._heard, f"a sentence {pattern!r}", seconds)
        sentence = self._sentences()[self._heard]
        self._heard += 1
        assert re.search(pattern, sentence), sentence
        return sentence

    def done(self, track: str) -> Status:
        """The job of that track that ended last."""
        paths = sorted(self.folders.status.iterdir(), key=lambda path: path.stat().st_mtime)
        found = [Status.from_text(path.read_text("utf-8")) for path in paths]
        return [s for s in found if s.clips and s.clips[0].name.startswith(track)][-1]

    def job(self, track: str) -> Job:
        """What the engine was asked for then."""
        with contextlib.closing(sqlite3.connect(self.folders.journal)) as journal:
            found = journal.execute("SELECT job FROM jobs WHERE id = ?", (self.done(track).id,))
            return Job.from_text(found.fetchone()[0])

    def names(self) -> list[str]:
        return [track["name"] for track in self.editor.tracks()]

    def export(self, track: int, start: float, frames: int, path: Path) -> np.ndarray:
        """Export a part of one track, and put the selection back."""
        rows = self.editor.tracks()
        selected = [i for i, row in enumerate(rows) if row["selected"]]
        with self.editor.pipe() as pipe:
            pipe.do("SelSave:")
            pipe.do(command("SelectTracks", Track=track, TrackCount=1, Mode="Set"))
            pipe.do(command("SelectTime", Start=start, End=start + frames / 44100))
            channels = rows[track]["channels"]
            pipe.do(command("Export2", Filename=path, NumChannels=channels))
            for number, index in enumerate(selected):
                mode = "Add" if number else "Set"
                pipe.do(command("SelectTracks", Track=index, TrackCount=1, Mode=mode))
            pipe.do("SelRestore:")
        return read(path)

    def selection(self, path: Path) -> tuple[list[int], str]:
        path.unlink(missing_ok=True)
        self.editor.do(
            f'NyquistPrompt: Version=4 Command="(let ((fp (open \\"{path}\\" :direction :output)))'
            ' (setf *float-format* \\"%.17g\\") (format fp \\"~a ~a\\"'
            " (get (quote *selection*) (quote start)) (get (quote *selection*) (quote end)))"
            ' (close fp) \\"\\")"'
        )
        rows = self.editor.tracks()
        return [i for i, row in enumerate(rows) if row["selected"]], path.read_text()

    @contextlib.contextmanager
    def held_worker(self) -> Iterator[None]:
        """Have the engine's worker stand still, so that a job takes as long as a test wants."""
        beat = Heartbeat.of_living(self.folders)
        if beat is None or not beat.worker:
            warm = self.tweeze("separate", str(DEMO), "rain", "--out", str(self.editor.home))
            assert warm.returncode == 0, warm.stderr
            beat = Heartbeat.of_living(self.folders)
        assert beat is not None
        assert beat.worker
        os.kill(beat.worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(beat.worker, signal.SIGCONT)


def read(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0])


@pytest.fixture(scope="module")
def opened(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    screen.stop_editor()  # nothing is installed while an Audacity runs
    made = Studio(screen, tmp_path_factory.mktemp("studio") / "Zoe's home")
    made.install()
    try:
        made.open()
        yield made
    finally:
        made.editor.stop()
        made.tweeze("stop")


@pytest.fixture
def studio(opened: Studio) -> Studio:
    if not opened.editor.running():
        opened.reopen()
    for window in opened.screen.windows("^Tweeze"):
        opened.screen.xdotool("windowactivate", window, check=False)
        opened.screen.key("Escape")
    opened.empty()
    opened.listen()
    return opened


def test_a_dragged_range_becomes_a_new_track(studio: Studio, sound: Sound, tmp_path: Path) -> None:
    source = sound("interview")
    studio.load(source)
    x, y, width, _ = studio.screen.geometry(studio.main_window())
    studio.screen.focus(studio.main_window())
    studio.screen.drag((x + 310, y + 190), (x + width // 2, y + 195))
    before = studio.selection(tmp_path / "seen")
    assert before[0] == [0]
    start, end = (float(word) for word in before[1].split())
    assert end - start > 0.3

    studio.ask("dog barking", unwanted="rain; wind")
    studio.says("1 new track of 'interview': 'dog barking'", 90)
    (clip,) = studio.done("interview").clips
    job = studio.job("interview")
    assert (job.queries, job.nots) == (("dog barking",), ("rain", "wind"))
    assert job.options == Options()  # the usual model is 'auto'
    wanted = read(clip.path)
    assert studio.names() == ["interview", clip.name]
    assert "dog barking" in clip.name
    assert studio.selection(tmp_path / "seen") == before
    first = round(start * 44100) / 44100
    assert np.array_equal(studio.export(1, first, len(wanted), tmp_path / "back.wav"), wanted)
    original = read(source)
    assert np.array_equal(studio.export(0, 0, len(original), tmp_path / "o.wav"), original)

    placed = [(row["name"], row["start"]) for row in studio.editor.tracks()]
    studio.editor.do("Undo:")
    assert studio.names() == ["interview"]
    assert studio.selection(tmp_path / "seen") == before
    studio.editor.do("Redo:")
    assert [(row["name"], row["start"]) for row in studio.editor.tracks()] == placed
    assert np.array_equal(studio.export(1, first, len(wanted), tmp_path / "back.wav"), wanted)


def test_again_by_its_key_on_a_mono_track_past_its_end(
    studio: Studio, sound: Sound, tmp_path: Path
) -> None:
    studio.load(sound("voice", channels=1))
    studio.mark([0], 4.5, 5.5)
    studio.screen.focus(studio.main_window())
    studio.screen.key("ctrl+alt+shift+y")
    studio.says("1 new track of 'voice': 'dog barking'")
    (clip,) = studio.done("voice").clips
    assert studio.job("voice").nots == ("rain", "wind")
    wanted = read(clip.path)
    assert wanted.shape == (22050, 1)
    assert [row["channels"] for row in studio.editor.tracks()] == [1, 1]
    assert np.array_equal(studio.export(1, 4.5, 22050, tmp_path / "back.wav"), wanted)


def test_two_tracks_one_of_them_at_another_rate(
    studio: Studio, sound: Sound, tmp_path: Path
) -> None:
    studio.load(sound("at44"), sound("at48", 48000))
    studio.mark([0, 1], 1.0, 2.0)
    studio.ask("rain")
    studio.says("1 new track of 'at44': 'rain'")
    studio.says("1 new track of 'at48': 'rain'")
    names = studio.names()
    assert names[:2] == ["at44", "at48"]
    assert ["at44" in names[2], "at48" in names[3]] == [True, True]
    (clip,) = studio.done("at48").clips
    wanted = read(clip.path)
    assert np.array_equal(studio.export(3, 1.0, len(wanted), tmp_path / "back.wav"), wanted)
    assert [row["selected"] for row in studio.editor.tracks()] == [1, 1, 0, 0]


def test_removing_and_muting_leaves_one_cleaned_track(
    studio: Studio, sound: Sound, tmp_path: Path
) -> None:
    studio.load(sound("street"))
    studio.mark([0], 1.0, 2.0)
    studio.ask("car horn", keep=Keep.RESIDUAL, mute=True)
    studio.says("1 new track of 'street'")
    assert [row["mute"] for row in studio.editor.tracks()] == [1, 0]
    studio.editor.do("Undo:")
    assert [row["mute"] for row in studio.editor.tracks()] == [0]
    studio.editor.do("Redo:")
    assert [row["mute"] for row in studio.editor.tracks()] == [1, 0]


def test_several_sounds_and_the_rest_add_up_to_the_original(
    studio: Studio, sound: Sound, tmp_path: Path
) -> None:
    source = sound("park")
    studio.load(source)
    studio.mark([0], 1.0, 2.0)
    studio.ask("dog barking; rain", keep=Keep.BOTH)
    studio.says("3 new tracks of 'park': 'dog barking', 'rain'")
    assert len(studio.names()) == 4
    total = sum(studio.export(n, 1.0, 44100, tmp_path / f"{n}.wav") for n in (1, 2, 3))
    assert np.abs(total - read(source)[44100:88200]).max() < 1e-6
    for left in (3, 2, 1):  # one undo step a clip
        studio.editor.do("Undo:")
        assert len(studio.names()) == left


def test_what_can_be_told_at_once_is_told_in_a_box(studio: Studio, sound: Sound) -> None:
    studio.load(sound("room"))
    requests = set(studio.folders.request_status.iterdir())
    studio.editor.do("SelectNone:")
    studio.ask("dog barking")
    studio.box()
    studio.mark([0], 2.0, 2.0)
    studio.ask("dog barking")
    studio.box()
    studio.mark([0], 1.0, 2.0)
    studio.ask("")
    studio.box()
    studio.ask(" ; ")
    studio.box()
    assert set(studio.folders.request_status.iterdir()) == requests
    assert studio.names() == ["room"]


@pytest.mark.fault(
    "the engine is not there when the user asks from the menu",
    promise="a box says so, no request is left behind; with the engine the menu works",
)
def test_without_the_engine_a_box_says_so(studio: Studio, sound: Sound) -> None:
    studio.load(sound("room"))
    studio.mark([0], 1.0, 2.0)
    assert studio.tweeze("stop").returncode == 0
    try:
        studio.menu(1)
        studio.box()
        assert list(studio.folders.requests.iterdir()) == []
    finally:
        assert studio.tweeze("start").returncode == 0
    studio.listen()
    studio.ask("rain")
    studio.says("1 new track", 90)


def test_what_only_audacity_can_tell_is_one_sentence(studio: Studio, sound: Sound) -> None:
    studio.load(sound("one"), sound("two"))
    studio.mark([0], 1.0, 2.0)
    studio.editor.do(command("SetTrackAudio", Mute=1))
    studio.ask("rain")
    studio.says("'one' is muted")
    studio.editor.do(command("SetTrackAudio", Mute=0))
    studio.mark([1], 1.0, 2.0)
    studio.editor.do(command("SetTrackAudio", Solo=1))
    studio.mark([0], 1.0, 2.0)
    studio.menu(1)
    studio.says("'two' plays solo")
    studio.mark([0], 30.0, 31.0)
    studio.editor.do(command("SelectTracks", Track=1, TrackCount=1, Mode="Set"))
    studio.menu(1)
    studio.says("Nothing is selected")
    studio.mark([1], 1.0, 2.0)
    studio.menu(1)
    studio.says("1 new track of 'two'")


def test_the_terminal_does_what_the_menu_does(studio: Studio, sound: Sound) -> None:
    studio.load(sound("desk"))
    studio.mark([0], 1.0, 2.0)
    wrong = studio.tweeze("trigger", "rain", "--model", "nope")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "There is no model named 'nope'" in wrong.stderr
    studio.says("There is no model named 'nope'")
    done = studio.tweeze("trigger", "dog barking", "rain", "--mute")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("desk (1.0 s): job ")
    studio.says("2 new tracks of 'desk'")
    assert [row["mute"] for row in studio.editor.tracks()] == [1, 0, 0]
    empty = studio.tweeze("trigger", " ; ")
    assert (empty.returncode, empty.stderr.count("\n")) == (2, 1)
    studio.says("The query is empty")
    studio.editor.do("SelectNone:")
    nothing = studio.tweeze("trigger", "--again")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)


def test_labels_and_selected_frequencies_say_where_the_sound_may_be(
    studio: Studio, sound: Sound
) -> None:
    studio.load(sound("yard"))
    for number, (start, end, text) in enumerate(
        [(1.25, 1.75, "+ dog here"), (1.5, 1.5, "+ now"), (2.5, 4, "- rain")]
    ):
        studio.editor.do(command("SelectTime", Start=start, End=end), "AddLabel:")
        studio.editor.do(command("SetLabel", Label=number, Text=text))
    studio.editor.do("SelectNone:")
    studio.mark([0], 1.0, 3.0)
    studio.editor.do(command("SetTrackVisuals", Display="Spectrogram", SpectralSel=1))
    studio.editor.do(command("SelectFrequencies", High=4000, Low=500))
    studio.ask("dog barking")
    studio.says(r"The label '\+ now' has no length, so it was ignored\.")
    studio.says(
        "1 new track of 'yard': 'dog barking'. Only at 1 span, not at 1 span, only from 500 to "
        "4000 Hz."
    )
    options = studio.job("yard").options
    assert [span.text for span in (*options.at, *options.never)] == ["0.25-0.75", "1.5-"]
    assert options.band == (Band(500, 4000),)
    clip = read(studio.done("yard").clips[0].path)
    assert not clip[:11025].any()
    assert not clip[33075:].any()
    assert clip[11025:33075].any()

    # What the request says itself comes first: here or there, but not both.
    done = studio.tweeze("trigger", "dog barking", "--at", "0-1", "--band", "100-200,300-400")
    assert done.stdout.startswith("yard (2.0 s): job ")
    studio.says("Only at 1 span, only in 2 bands.")
    options = studio.job("yard").options
    assert (options.at, options.never) == ((Span(0, 1),), ())
    assert options.band == (Band(100, 200), Band(300, 400))
    done = studio.tweeze("trigger", "rain", "--band", "1000-")
    assert done.stdout.startswith("yard (2.0 s), only at 1 labelled span, not at 1 labelled span:")
    studio.says("The label")
    studio.says("not at 1 span, only from 1000 Hz up")


@pytest.mark.fault(
    "the user cuts the track that a job came from while the job runs",
    promise="nothing goes in, a sentence says so; with the edit undone the clip goes in, once",
)
def test_a_changed_project_gets_nothing_until_it_is_back(studio: Studio, sound: Sound) -> None:
    studio.load(sound("take"))
    studio.mark([0], 1.0, 2.0)
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.editor.do(command("SelectTime", Start=0, End=0.5), "Delete:")
    studio.says("'rain' is ready, but not in the project: .*'tweeze insert'")
    assert studio.names() == ["take"]
    refused = studio.tweeze("insert")
    assert refused.returncode == 1
    assert "tweeze insert" in refused.stderr
    studio.editor.do("Undo:")
    assert studio.tweeze("insert").stdout == "1 new track.\n"
    assert len(studio.names()) == 2
    assert "No clip is waiting" in studio.tweeze("insert").stderr
    job = studio.done("take").id
    assert "in already" in studio.tweeze("insert", job).stderr
    assert len(studio.names()) == 2


def test_cancel_and_status_from_the_menu(studio: Studio, sound: Sound) -> None:
    studio.load(sound("long", seconds=20))
    studio.mark([0], 0.0, 20.0)
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.menu(4)
        studio.box()
        studio.menu(2)
        wait_for(
            lambda: any(
                "cancelled" in path.read_text() for path in studio.folders.request_status.iterdir()
            ),
            "the request to cancel",
        )
    studio.says("Cancelled: 'rain'")
    assert studio.names() == ["long"]


@pytest.mark.fault(
    "another program holds Audacity's pipe when the user asks",
    promise="it is named in a sentence; when it is gone the same request works",
)
def test_another_client_of_the_pipe_is_named(studio: Studio, sound: Sound) -> None:
    studio.load(sound("booth"))
    studio.mark([0], 1.0, 2.0)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys\nopen_ = (open('{TO}', 'w'), open('{FROM}'))\nprint()\n"
            "sys.stdout.flush()\nsys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        studio.ask("rain")
        studio.says(f"Another program holds Audacity's pipe .*process {holder.pid}")
    finally:
        holder.communicate(timeout=10)
    studio.menu(1)
    studio.says("1 new track of 'booth'")


@pytest.mark.fault(
    "a dialog of Audacity's is open when the clip is ready",
    promise="the clip is kept or goes in; in the end it is in once",
)
def test_a_dialog_that_is_open_when_the_clip_is_ready(studio: Studio, sound: Sound) -> None:
    studio.load(sound("stage"))
    studio.mark([0], 1.0, 2.0)
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.screen.focus(studio.main_window())
        studio.screen.key("ctrl+w")  # "Save changes?"
        dialog = studio.screen.window("^Save changes")
    said = studio.says("'rain' is ready, but not in the project|1 new track")
    studio.screen.focus(dialog)
    studio.screen.key("Escape")

    def back() -> bool:
        with contextlib.suppress(HostError):
            return bool(studio.names())
        return False

    wait_for(back, "Audacity after the dialog")
    if "not in the project" in said:
        assert "open dialog" in said
        assert studio.names() == ["stage"]
        assert studio.tweeze("insert").stdout == "1 new track.\n"
    assert len(studio.names()) == 2


@pytest.mark.fault(
    "Audacity is closed while the job runs, and comes back with another project",
    promise="the other one gets nothing; the clip goes into its own when that is open again",
)
def test_a_project_that_was_closed_gets_its_clip_when_it_is_open_again(
    studio: Studio, sound: Sound, tmp_path: Path
) -> None:
    file = tmp_path / "session.aup3"
    studio.load(sound("band"))
    studio.mark([0], 1.0, 2.0)
    studio.editor.do(command("SaveProject2", Filename=file))
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.screen.focus(studio.main_window())
        studio.screen.key("ctrl+q")
        wait_for(lambda: not studio.editor.running(), "Audacity's end")
    studio.says("'rain' is ready, but not in the project: Audacity is not running")
    studio.reopen()
    assert "not the one" in studio.tweeze("insert").stderr
    studio.editor.do(command("OpenProject2", Filename=file))
    assert studio.names() == ["band"]
    assert studio.tweeze("insert").stdout == "1 new track.\n"
    assert len(studio.names()) == 2
    # Leave no file behind that the next start would look for.
    studio.editor.do(command("SaveProject2", Filename=file))
    studio.editor.stop()


@pytest.mark.fault(
    "Audacity is killed (kill -9) while a job runs",
    promise="the clip is kept, stale pipes are told from live ones, and it goes in later, once",
)
def test_audacity_killed_while_a_job_runs(studio: Studio, sound: Sound) -> None:
    file = sound("live")
    studio.load(file)
    studio.mark([0], 1.0, 2.0)
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.editor.kill()
    studio.says("'rain' is ready, but not in the project: Audacity is not running.*'tweeze insert'")
    for fifo in (TO, FROM):
        assert fifo.exists()  # stale: left behind
    done = studio.tweeze("trigger", "rain")
    assert done.returncode == 1
    assert "left its pipe behind" in done.stderr
    studio.reopen()
    studio.load(file)
    assert studio.tweeze("insert").stdout == "1 new track.\n"
    assert len(studio.names()) == 2


if PICTURES:

    def test_the_handbooks_pictures(studio: Studio) -> None:
        studio.load(DEMO)
        studio.mark([0], 2.0, 7.0)
        studio.ask("birds singing", unwanted="traffic", picture="audacity-dialog.png")
        studio.says("1 new track")
        studio.screen.focus(studio.main_window())
        studio.screen.key("ctrl+shift+f")  # fit the tracks' heights
        wait_for(
            lambda: len(studio.screen.windows("^(Tweeze|Select|Message)")) == 0, "a quiet screen"
        )
        studio.screen.picture(Path(str(PICTURES)) / "audacity-tracks.png", *CROP)


def test_the_selection_opens_in_the_panel_and_its_clips_go_back_once(
    studio: Studio, sound: Sound
) -> None:
    source = sound("interview")
    studio.load(source)
    studio.mark([0], 0.5, 1.5)
    studio.menu(3)
    with studio.telling():
        wait_for(studio.browsed.exists, "the browser", 90)
    (address,) = studio.browsed.read_text().split()
    assert address.startswith("file://")
    page = Page.opened(unquote(address.removeprefix("file://")))
    assert page.source
    (one,) = page.get("/api/state").json["sources"]
    assert (one["title"], one["host"], one["frames"]) == ("interview", "audacity", 44100)
    samples = page.get(f"/api/sources/{page.source}/audio?start=0&stop=44100").floats
    wanted = read(source)[22050:66150]
    assert np.array_equal(samples.reshape(wanted.shape), wanted)

    job = page.job(["dog barking"], options={"keep": "both"})
    assert job["state"] == "done", job
    assert studio.names() == ["interview"]  # nothing goes in unasked
    path = f"/api/jobs/{job['id']}/send"
    sent = page.ask("POST", path, {"editor": "audacity"})
    assert sent.status == 200, sent.body
    assert sent.json == {"said": "2 new tracks."}
    names = ["interview", *(clip["name"] for clip in job["clips"])]
    assert studio.names() == names
    first = page.get(f"/api/jobs/{job['id']}/clips/0/audio?start=0&stop=44100").floats
    back = studio.export(1, 0.5, 44100, studio.editor.home / "back.wav")
    assert np.array_equal(back, first.reshape(back.shape))

    again = page.ask("POST", path, {"editor": "audacity"})
    assert again.status == 409
    assert "in the project already" in again.error
    assert studio.names() == names
    assert page.ask("POST", path, {"editor": "audacity", "again": True}).status == 200
    assert studio.names() == [*names, *names[1:]]

    # Closed, its recording is gone; what the history has of it opens, and goes in, all the same.
    said = {"events": [[0.25, 0.5], [0.75, 1]], "name": "dog barking"}
    marked = page.ask("POST", f"/api/jobs/{job['id']}/events", said)
    assert marked.json == {"said": "2 labels on a new track 'dog barking'."}
    labels = studio.editor.do("GetInfo: Type=Labels Format=JSON")
    assert [round(float(time), 3) for time in re.findall(r"\[ ([\d.]+), ", labels)] == [0.75, 1.25]
    assert page.ask("DELETE", f"/api/sources/{page.source}").status == 200
    found = page.get("/api/history?q=interview").json["jobs"]
    (past,) = [one for one in found if one["id"] == job["id"]]
    assert (past["id"], past["host"], past["inserted"], past["open"]) == (
        job["id"],
        "audacity",
        True,
        "",
    )
    assert page.ask("POST", path, {"again": True}).json == {"said": "2 new tracks."}
    source = page.ask("POST", f"/api/history/{job['id']}/open").json
    assert (source["title"], source["host"], source["frames"]) == ("interview", "audacity", 44100)
    assert [one["id"] for one in source["jobs"]] == [job["id"]]
    same = page.get(f"/api/sources/{source['id']}/audio?start=0&stop=44100").floats
    assert np.array_equal(same, samples)
    assert page.ask("DELETE", f"/api/history/{job['id']}").status == 200
    assert len(studio.names()) == 8, "what is in the project stays"
