"""What goes wrong in the editor at the worst moments: a real Audacity, a real engine."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audacity.pipe import Blocked, command
from audacity.timeline import capture
from engine.errors import HostError
from engine.queue.heartbeat import Heartbeat
from engine.queue.journal import Insertion
from engine.queue.lock import holder
from tests.hosts.audacity.editor import FROM, TO, Editor, wait_for
from tests.hosts.audacity.test_menu import Studio, opened, studio
from tests.hosts.audacity.test_timeline import (
    STEPS_OUT,
    Stumbling,
    load,
    mark,
    mixtures,
    take,
)
from tests.hosts.reaper.studio import Studio as Desk
from tests.hosts.reaper.studio import copy_scripts

__all__ = ["mixtures", "opened", "studio"]  # fixtures

Sound = Callable[..., Path]


@pytest.mark.fault(
    "a dialog opens in Audacity while the selection is captured, at each step",
    promise="a sentence, no mixture left behind; with the dialog closed it is captured",
)
@pytest.mark.parametrize("step", STEPS_OUT)
def test_a_dialog_while_capturing(editor: Editor, sound: Sound, mixtures: Path, step: str) -> None:
    load(editor, sound("source"))
    mark(editor, [0], 1.0, 2.0)

    def dialog() -> None:
        editor.screen.focus(editor.project_window())
        editor.screen.key("ctrl+shift+i")  # Import Audio: a file dialog
        editor.screen.window("Select one or more files")

    captured = []
    with Stumbling(step, dialog, patience=1.0) as pipe, contextlib.suppress(Blocked):
        captured = capture(pipe, mixtures, keepsake=mixtures / "keepsake")
    left = [path for path in mixtures.iterdir() if path.suffix == ".wav"]
    assert left == [one.path for one in captured]
    editor.screen.key("Escape")

    def answers() -> bool:
        with contextlib.suppress(HostError):
            return bool(editor.tracks())
        return False

    wait_for(answers, "Audacity after the dialog")
    mark(editor, [0], 1.0, 2.0)
    assert take(editor, mixtures)[0].frames == 44100


@pytest.mark.fault(
    "the user goes on editing while the job runs: another track, another selection, a gain",
    promise="the clip goes in where it belongs, and the selection of the moment stays",
)
def test_the_user_edits_meanwhile(studio: Studio, sound: Sound, tmp_path: Path) -> None:
    studio.load(sound("duet"))
    studio.mark([0], 1.0, 2.0)
    with studio.held_worker():
        assert studio.tweeze("trigger", "rain").returncode == 0
        studio.load(sound("other"))
        studio.editor.do(command("SelectTracks", Track=1, TrackCount=1, Mode="Set"))
        studio.editor.do(command("SetTrackAudio", Volume=-3))
        studio.mark([1], 0.25, 0.5)
        before = studio.selection(tmp_path / "seen")
    studio.says("1 new track of 'duet': 'rain'")
    assert len(studio.names()) == 3
    assert "duet" in next(name for name in studio.names() if name not in ("duet", "other"))
    assert studio.selection(tmp_path / "seen") == before


@contextlib.contextmanager
def taken_pipe() -> Iterator[int]:
    """Another program that holds Audacity's pipe; its process id."""
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
        yield holder.pid
    finally:
        holder.communicate(timeout=10)


@pytest.mark.fault(
    "another program holds Audacity's pipe when the clip is ready",
    promise="it is named, the clip is kept, and 'tweeze insert' puts it in once",
)
def test_the_pipe_is_taken_when_the_clip_is_ready(studio: Studio, sound: Sound) -> None:
    studio.load(sound("pit"))
    studio.mark([0], 1.0, 2.0)
    with contextlib.ExitStack() as taken:
        with studio.held_worker():
            assert studio.tweeze("trigger", "rain").returncode == 0
            pid = taken.enter_context(taken_pipe())
        studio.says(f"'rain' is ready, but not in the project: .*process {pid}", 90)
    assert studio.names() == ["pit"]
    assert studio.tweeze("insert").stdout == "1 new track.\n"
    assert len(studio.names()) == 2
    assert "No clip is waiting" in studio.tweeze("insert").stderr


@pytest.mark.fault(
    "the engine is killed (kill -9) around the moment in which a clip goes into Audacity",
    promise="the clip is in the project at most once, and once if nothing is in doubt",
)
@pytest.mark.parametrize("moment", [Insertion.FREE, Insertion.CLAIMED, Insertion.INSERTED])
def test_the_engine_is_killed_while_inserting(
    studio: Studio, sound: Sound, moment: Insertion
) -> None:
    """At the first sight of `moment` in the journal; what it holds after the end is what counts."""
    studio.load(sound("arena"))
    studio.mark([0], 1.0, 2.0)
    with studio.held_worker():
        said = studio.tweeze("trigger", "rain")
        assert said.returncode == 0
        job = said.stdout.split("job ")[1].strip()
        look = insertion_of(studio, job)
        pid = holder(studio.folders.lock)
        assert pid
    if moment is Insertion.FREE:
        status = studio.folders.status / job
        wait_for(lambda: "state=done" in status.read_text(), "the job's end", 90)
    else:
        wait_for(lambda: look() is moment, f"a clip that is {moment.value}", 90)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: holder(studio.folders.lock) is None, "the engine's end")
    found = look()
    if moment is not Insertion.FREE:
        assert found is moment, "the kill came too late: the moment has passed"
    assert studio.tweeze("start").returncode == 0

    def quiet() -> bool:
        with contextlib.suppress(HostError):
            return len(studio.names()) > 0
        return False

    wait_for(quiet, "Audacity")
    if found is Insertion.CLAIMED:
        studio.says("Whether 'rain' is in the project is not known", 90)
    elif found is Insertion.FREE:
        studio.says("1 new track of 'arena': 'rain'", 90)
    names = studio.names()
    assert len(names) <= 2, "the clip went in twice"
    if found is not Insertion.CLAIMED:
        assert len(names) == 2, "the clip is not in, and nothing is in doubt"
    # Without the user's word for this very job, nothing more goes in.
    assert "No clip is waiting" in studio.tweeze("insert").stderr
    assert studio.names() == names
    named = studio.tweeze("insert", job)
    if found is Insertion.CLAIMED:
        assert named.stdout == "1 new track.\n"
        assert len(studio.names()) == len(names) + 1
        names = studio.names()
    assert "are in already" in studio.tweeze("insert", job).stderr
    assert studio.names() == names
    studio.listen()


def insertion_of(studio: Studio, job: str) -> Callable[[], Insertion]:
    """Return what tells what the journal knows of the job's first clip, beside the engine."""
    address = f"file:{studio.folders.journal}?mode=ro"

    def look() -> Insertion:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as database:
            sql = "SELECT state FROM insertions WHERE id = ? AND clip = 0"
            row = database.execute(sql, (job,)).fetchone()
        return Insertion(row[0]) if row else Insertion.FREE

    return look


@pytest.mark.fault(
    "two editors ask at once: Audacity and (an imitation of) REAPER, of the same engine",
    promise="each gets its own clip, once, in its own project",
)
def test_two_editors_at_once(studio: Studio, sound: Sound, tmp_path: Path) -> None:
    studio.load(sound("left"))
    studio.mark([0], 1.0, 2.0)
    desk = Desk(tmp_path / "desk", studio.folders, copy_scripts(tmp_path / "scripts"))
    desk.item()
    with studio.held_worker():
        script = desk.separate("wind")
        desk.cycle_until(lambda: desk.recent(), "REAPER's job")
        assert studio.tweeze("trigger", "rain").returncode == 0
        beat = Heartbeat.of_living(studio.folders)
        assert beat is not None
        assert beat.queue + bool(beat.running) >= 1
    desk.wait(script)
    studio.says("1 new track of 'left': 'rain'", 90)
    assert len(studio.names()) == 2
    assert "rain" in studio.names()[1]
    assert len(desk.names()) == 2
    assert "wind" in desk.names()[1]
    assert desk.reaper.boxes == []
    desk.reaper.quit()
