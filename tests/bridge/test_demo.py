"""`tweeze demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.picture import draw

DEMO = str(files("engine") / "demo" / "mixture.flac")


def test_the_demo_separates_and_the_second_run_loads_nothing(real_home, tmp_path):
    home = real_home
    first = home.in_its_own_process("demo", "--out", tmp_path / "first", deadline=240)
    assert (first.returncode, first.stderr) == (0, "")
    pid = home.beat().pid
    second = home.tweeze("demo", "--out", tmp_path / "second")
    assert second.returncode == 0
    assert home.beat().pid == pid
    assert "it was resident" not in first.stdout.split("model loaded in")[1].splitlines()[1]
    assert second.stdout.count("it was resident") == len(_rows(second.stdout)) >= 2

    for query, improvement, null in _rows(first.stdout):
        assert improvement > 0, query
        assert null < -120, query
    paths = [Path(line.strip()) for line in first.stdout.splitlines() if line.startswith("  /")]
    clips = [path for path in paths if path.suffix == ".wav"]
    together = re.findall(r"^(\w+) +\S+ dB +\S+ dB +([+-][\d.]+) dB  (\w+)$", first.stdout, re.M)
    assert [sound for sound, _, _ in together] == ["speech", "rain"]
    assert all(float(gained) > 0 for _, gained, by in together if by != "compact")
    assert len(clips) == 2 * len(_rows(first.stdout)) + len(together) + 1
    clips = [path for path in clips if path.name.startswith("mixture")]
    shapes = {(i.samplerate, i.frames, i.channels) for i in map(soundfile.info, clips)}
    assert len(shapes) == 1
    rate, frames, channels = shapes.pop()
    assert (rate, channels) == (44_100, 2)
    assert 8 <= frames / rate <= 12
    (picture,) = (path for path in paths if path.suffix == ".png")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_listening_names_the_sounds_in_the_demo(real_home):
    done = real_home.tweeze("listen", DEMO, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["model"] == "ears"
    assert facts["heard"]
    rows = real_home.tweeze("listen", DEMO).stdout.splitlines()
    assert [row.split("\t")[0] for row in rows] == [one["name"] for one in facts["heard"]]


def _rows(text: str) -> list[tuple[str, float, float]]:
    pattern = r"(.+?) +([+-][\d.]+) dB +(-[\d.]+) dB"
    return [(q, float(i), float(n)) for q, i, n in re.findall(f"^{pattern}", text, re.MULTILINE)]


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_picture_shows_where_the_sound_is(rate, tmp_path):
    matplotlib_image = pytest.importorskip("matplotlib.image")
    t = np.arange(rate * 2) / rate
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * t) * (t > 1)).astype(np.float32)[None]
    draw(tmp_path / "x.png", [("a tone", tone), ("silence", 0 * tone)], rate)
    pixels = matplotlib_image.imread(tmp_path / "x.png")[..., :3]
    coloured = np.ptp(pixels, axis=2) > 0.3  # text, frames and silence are grey
    height, width = coloured.shape
    early, late = slice(width // 5, width * 2 // 5), slice(int(width * 0.6), int(width * 0.95))
    upper, lower = slice(0, height // 2), slice(height // 2, None)
    assert coloured[upper, late].sum() > 1_000
    assert coloured[upper, early].sum() < 100
    assert coloured[lower].sum() == 0
