"""AudioSep the way a user meets it: added and asked for on the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import soundfile

from bridge import launch


def test_44100_hz_stereo_on_the_command_line(entry, measured, folders, rng, tmp_path):
    samples = rng.normal(0, 0.1, (33_075, 2)).astype(np.float32)
    soundfile.write(tmp_path / "street.wav", samples, 44_100, subtype="FLOAT")
    command = [sys.executable, "-m", "bridge.cli", "separate", "street.wav", "dog barking"]
    options = ["--model", entry.name, "--keep", "both", "--context", "short", "--memory", "low"]
    try:
        done = subprocess.run(
            [*command, *options, "--sharpness", "1.25", "--precision", "draft"],
            cwd=tmp_path,
            env={**os.environ, "TWEEZE_HOME": str(folders.root)},
            capture_output=True,
            text=True,
            timeout=240,
        )
    finally:
        launch.stop(folders)
    assert done.returncode == 0, done.stderr
    target, residual = (
        soundfile.read(tmp_path / line, dtype="float32") for line in done.stdout.splitlines()
    )
    for clip, rate in (target, residual):
        assert rate == 44_100
        assert clip.shape == samples.shape
    np.testing.assert_allclose(target[0] + residual[0], samples, atol=1e-6)
    assert np.abs(target[0]).max() > 1e-3
