"""The blind listening page: nothing on it tells A from B, and the key tells it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import listening
from engine.training.scenes import Question, Scene

RATE = 8_000


def scene(number: int) -> Scene:
    rng = np.random.default_rng(number)
    truth, other = rng.normal(0, 0.1, (2, 1, RATE)).astype(np.float32)
    query = 'a "dog", <b>barking</b>' if number == 1 else f"sound {number}"
    return Scene(truth + other, RATE, (Question("dog", query, truth, "rain", "rain & wind"),))


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[dict[str, str]]]:
    """A page of twelve mixtures; answers of Tweeze with `--not` are silent but for one sample."""

    def separated(command: list[str], mixture: Path, query: str, more: list[str]) -> np.ndarray:
        samples = np.zeros(RATE, np.float32)
        samples[0 if "--not" in more else 1] = 0.5
        return samples

    monkeypatch.setattr(listening, "separated", separated)
    rng = np.random.default_rng(7)
    rows: list[str] = []
    key: list[dict[str, object]] = []
    for number in range(1, 13):
        how = (["tweeze"], ["tweeze"], ["--no-compete"])
        rows.append(
            listening._answered(
                tmp_path, number, scene(number), how, ("competing", "alone"), rng, key
            )
        )
    listening.write(tmp_path, rows, key)
    with (tmp_path / "key.csv").open(encoding="utf-8", newline="") as file:
        return (tmp_path / "index.html").read_text(encoding="utf-8"), list(csv.DictReader(file))


def test_the_key_says_which_is_which_and_the_page_does_not(page, tmp_path):
    text, key = page
    assert len(key) == 12
    for row in key:
        assert {row["A"], row["B"]} == {"competing", "alone"}
        for letter in "AB":
            samples, _ = soundfile.read(tmp_path / f"{int(row['number']):02}-{letter}.flac")
            assert np.argmax(samples) == ["competing", "alone"].index(row[letter])
            float(row[f"{letter} SI-SDRi"])
    assert {row["A"] for row in key} == {"competing", "alone"}  # drawn by lot
    assert "competing" not in text
    assert "alone" not in text


def test_every_sound_of_the_page_is_there_with_a_name_and_a_key(page, tmp_path):
    text, _ = page
    sounds = re.findall(r'<audio [^>]*data-key="(.)" aria-label="([^"]+)" src="([^"]+)"', text)
    assert len(sounds) == 36
    assert all((tmp_path / source).is_file() for _, _, source in sounds)
    assert sounds[:3] == [
        ("M", "Mixture of number 1", "01-mixture.flac"),
        ("A", "A of number 1", "01-A.flac"),
        ("B", "B of number 1", "01-B.flac"),
    ]
    assert listening._MIXTURES not in text


def test_words_are_no_markup(page):
    text, key = page
    assert (
        "a &quot;dog&quot;, &lt;b&gt;barking&lt;/b&gt;</strong>; not wanted: rain &amp; wind"
        in text
    )
    assert "<b>barking" not in text
    assert key[0]["query"] == 'a "dog", <b>barking</b>'
