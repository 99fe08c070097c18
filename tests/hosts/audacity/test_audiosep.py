"""An added AudioSep checkpoint separates what is selected in a real Audacity: 44.1 kHz, stereo."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from audacity.pipe import command
from bridge import launch
from engine.errors import HostError
from engine.status import Status
from tests.hosts.audacity.editor import wait_for
from tests.support.audiosep import (  # noqa: F401 - fixtures
    entry,
    folders,
    formula,
    official,
    roberta,
    room,
    separator_state,
)


def test_its_clip_becomes_a_track(editor, sound, entry, folders, tmp_path):  # noqa: F811
    with editor.pipe() as pipe:
        pipe.do(command("Import2", Filename=sound("street", seconds=2.0)))
        pipe.do(command("SelectTime", Start="0.5", End="1.5"))
        pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
    trigger = [sys.executable, "-m", "bridge.cli", "trigger", "dog barking", "--model", entry.name]
    environment = {**editor.environment, "TWEEZE_HOME": str(folders.root)}
    root = Path(__file__).parents[3]
    try:
        done = subprocess.run(
            trigger, env=environment, cwd=root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        try:
            wait_for(lambda: _has_two_tracks(editor), "the new track", 180)
        except AssertionError as error:
            jobs = [path.read_text("utf-8") for path in folders.status.iterdir()]
            raise AssertionError(f"{error} What the jobs say: {jobs}") from error
    finally:
        launch.stop(folders)
    jobs = [Status.from_text(path.read_text("utf-8")) for path in folders.status.iterdir()]
    (clip,) = next(
        job.clips for job in jobs if job.clips and job.clips[0].name.startswith("street")
    )
    wanted, rate = soundfile.read(clip.path, dtype="float32")
    assert (rate, wanted.shape) == (44_100, (44_100, 2))
    track = editor.tracks()[1]
    assert (track["name"], track["channels"]) == (clip.name, 2)
    with editor.pipe() as pipe:
        pipe.do(command("SelectTracks", Track=1, TrackCount=1, Mode="Set"))
        pipe.do(command("SelectTime", Start=0.5, End=1.5))
        pipe.do(command("Export2", Filename=tmp_path / "back.wav", NumChannels=2))
    assert np.array_equal(soundfile.read(tmp_path / "back.wav", dtype="float32")[0], wanted)


def _has_two_tracks(editor) -> bool:
    with contextlib.suppress(HostError, ValueError):  # the engine has the pipe just now
        return len(editor.tracks()) == 2
    return False
