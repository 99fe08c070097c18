"""What Audacity imports with FFmpeg: a clip of it begins and ends where it does there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.sound.audio import read
from tests.hosts.audacity.editor import Editor

FILM = ["-f", "lavfi", "-i", "testsrc=d=2:r=25:s=64x64", "-itsoffset", "0.5"]
VIDEO = ["-map", "0:v", "-map", "1:a", "-c:v", "mpeg4"]


@pytest.mark.parametrize(
    ("name", "before", "options"),
    [
        ("aac.m4a", [], ["-c:a", "aac"]),
        ("alac.m4a", [], ["-c:a", "alac"]),
        ("stream.aac", [], ["-c:a", "aac"]),
        ("windows.wma", [], ["-c:a", "wmav2"]),
        ("film.mp4", FILM, [*VIDEO, "-c:a", "aac"]),
        ("web.webm", [], ["-c:a", "libopus", "-ar", "48000"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_start_and_length_are_those_of_audacitys_import(
    name, before, options, editor: Editor, sound, tmp_path: Path
):
    assert shutil.which("ffmpeg"), "tests/install-tools installs it"
    path, out = tmp_path / name, tmp_path / "out.wav"
    source = sound("source", seconds=2.0)
    subprocess.run(["ffmpeg", "-v", "error", *before, "-i", source, *options, path], check=True)
    editor.do(
        f'Import2: Filename="{path}"', "SelectAll:", f'Export2: Filename="{out}" NumChannels=2'
    )
    audacity, rate = soundfile.read(out, dtype="float32", always_2d=True)
    ours, got = read(path)
    assert got == rate
    assert ours.T.shape == audacity.shape
    assert np.abs(ours.T - audacity).max() < 1e-5
