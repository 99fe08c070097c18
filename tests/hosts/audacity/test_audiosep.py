"""An added AudioSep checkpoint separates what is selected in a real Audacity: 44.1 kHz, stereo."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audacity.pipe import command
from bridge import launch
from engine.models.audiosep.kind import fast_form
from engine.status import Clip, JobState, Status
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


@pytest.fixture
def in_torch(entry):  # noqa: F811
    """The model as after a trial that torch won: making OpenVINO's graph takes half a minute."""
    form = fast_form(entry)
    for path in (form.graph, form.graph.with_suffix(".bin")):
        path.write_bytes(b"nobody reads it")
    with contextlib.suppress(PackageNotFoundError):  # without OpenVINO there is no trial
        facts = {"openvino": version("openvino"), "seconds_openvino": 2.0, "seconds_torch": 1.0}
        form.note_graph(facts)
    return entry


def test_its_clip_becomes_a_track(editor, sound, in_torch, folders, tmp_path):  # noqa: F811
    with editor.pipe() as pipe:
        pipe.do(command("Import2", Filename=sound("street", seconds=2.0)))
        pipe.do(command("SelectTime", Start="0.5", End="1.5"))
        pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
    trigger = [
        sys.executable,
        "-m",
        "bridge.cli",
        "trigger",
        "dog barking",
        "--model",
        in_torch.name,
    ]
    environment = {**editor.environment, "TWEEZE_HOME": str(folders.root)}
    root = Path(__file__).parents[3]
    try:
        done = subprocess.run(
            trigger, env=environment, cwd=root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        # Asking Audacity itself all the time would keep the engine from the pipe.
        (clip,) = wait_for(lambda: _clips(folders.status), "a clip", 180)
        wait_for(lambda: _is_in(folders.journal), f"the track of {clip}", 180)
    finally:
        launch.stop(folders)
    wanted, rate = soundfile.read(clip.path, dtype="float32")
    assert (rate, wanted.shape) == (44_100, (44_100, 2))
    track = editor.tracks()[1]
    assert (track["name"], track["channels"]) == (clip.name, 2)
    with editor.pipe() as pipe:
        pipe.do(command("SelectTracks", Track=1, TrackCount=1, Mode="Set"))
        pipe.do(command("SelectTime", Start=0.5, End=1.5))
        pipe.do(command("Export2", Filename=tmp_path / "back.wav", NumChannels=2))
    assert np.array_equal(soundfile.read(tmp_path / "back.wav", dtype="float32")[0], wanted)


def _clips(statuses: Path) -> tuple[Clip, ...]:
    """Return the clips of the only job, once it has them."""
    for path in statuses.iterdir():
        status = Status.from_text(path.read_text("utf-8"))
        if status.clips:
            return status.clips
        assert status.state is not JobState.FAILED, status.message
    return ()


def _is_in(journal: Path) -> bool:
    """Whether the journal says that the clip is in the project."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        return database.execute("SELECT state FROM insertions").fetchall() == [("inserted",)]
