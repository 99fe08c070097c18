"""Queries that are sounds: what names them, what is read, and how they steer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.advice.examples import LONGEST, Example, embedding
from engine.errors import BadAudio, BadInput
from engine.job import clean_query
from engine.models import compact

RATE = 8000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four seconds: the second second alone is not silent, and left is twice as loud as right."""
    left = np.zeros(4 * RATE)
    left[RATE : 2 * RATE] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    path = tmp_path / "a dog.wav"
    soundfile.write(path, np.stack([left, left / 2], axis=1), RATE)
    return path


@pytest.mark.parametrize(
    ("text", "path", "start", "stop"),
    [
        ("dog.wav", "dog.wav", 0.0, None),
        ("dog.wav@1-2.5", "dog.wav", 1.0, 2.5),
        ("a@b.wav@0.25-3", "a@b.wav", 0.25, 3.0),
        ("day.wav@86399.125001-86401.5", "day.wav", 86399.125001, 86401.5),
        ("year.wav@999990.25-999999.75", "year.wav", 999990.25, 999999.75),
        ("dog.wav@loud", "dog.wav@loud", 0.0, None),
    ],
)
def test_texts(text: str, path: str, start: float, stop: float | None) -> None:
    found = Example.from_text(text)
    assert found == Example(Path(path), start, stop)
    assert found.text == text


def test_a_file_of_that_very_name_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "take@1-2"
    path.write_bytes(b"")
    assert Example.from_text(str(path)) == Example(path)


@pytest.mark.parametrize("stretch", ["3-3", "4-2", f"1-{2 + LONGEST:g}"])
def test_impossible_stretches_are_refused(stretch: str) -> None:
    with pytest.raises(BadInput, match=r"dog\.wav@"):
        Example.from_text(f"dog.wav@{stretch}")


def test_the_stretch_alone_is_read(recording: Path) -> None:
    samples = Example(recording, 1.0, 1.5).read(16000)
    assert samples.shape == (2, 8000)
    assert np.abs(samples[0]).max() == pytest.approx(0.5, abs=0.02)
    assert np.abs(samples[1]).max() == pytest.approx(0.25, abs=0.02)
    assert Example(recording).read(RATE).shape == (2, 4 * RATE)
    assert Example(recording, 1.5, 9.0).read(RATE).shape == (2, 2.5 * RATE)


@pytest.mark.parametrize(
    ("start", "stop", "said"),
    [(5.0, 6.0, "lasts 4.00 s"), (2.5, 3.5, "is silent"), (3.99, 4.5, "lasts 4.00 s")],
)
def test_a_stretch_without_sound_is_refused(
    recording: Path, start: float, stop: float, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        Example(recording, start, stop).read(16000)


@pytest.mark.parametrize(
    "stem", ["cafe\u0301", "a  b", "x" * 90, "x" * 74 + " y", "\udce9t\u00e9", "\n"]
)
def test_the_query_of_an_example_is_one_that_a_job_takes(stem: str) -> None:
    query = Example(Path(f"/tmp/{stem}.wav")).query
    assert query == clean_query(query)
    assert query.startswith("like")
    assert len(query) <= 80


def test_a_path_that_depends_on_where_one_stands_is_refused(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    with pytest.raises(BadInput, match=r"path a dog\.wav is not absolute"):
        Example(Path(recording.name)).read(RATE)


def test_a_long_file_needs_a_stretch(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(int((LONGEST + 2) * RATE))
    soundfile.write(tmp_path / "long.wav", noise, RATE)
    with pytest.raises(BadInput, match=r"name a stretch of it, like 'long.wav@2-4'"):
        Example(tmp_path / "long.wav").read(16000)
    assert Example(tmp_path / "long.wav", LONGEST, LONGEST + 1).read(RATE).shape == (1, RATE)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no audio")
    with pytest.raises(BadAudio):
        Example(tmp_path / "a.txt").read(16000)


def test_a_cancelled_job_reads_no_further(recording: Path) -> None:
    def cancelled() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Example(recording).read(16000, cancelled)


def test_an_example_steers_alone_or_with_words() -> None:
    model = compact.load()
    example = Example(Path("/tmp/meow.wav"))
    place = model.embed("cat")
    embed: Callable[[str], np.ndarray] = embedding(model, example, place)
    shown, both = embed(example.query), embed("dog barking")
    assert np.linalg.norm(shown) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    assert shown @ place > 0.8
    assert shown @ place > shown @ model.embed("rain") + 0.5
    assert both @ shown == pytest.approx(float(both @ model.embed("dog barking")), abs=1e-5)


def test_what_is_not_wanted_is_not_what_is_shown() -> None:
    model = compact.load()
    example = Example(Path("/tmp/meow.wav"))
    place = model.embed("cat")
    embed = embedding(model, example, place, ["rain"])
    assert np.array_equal(embed("rain"), model.embed("rain"))
    assert not np.array_equal(embed("dog barking"), model.embed("dog barking"))


def test_a_model_that_knows_words_only_says_so() -> None:
    class Words:
        name = "words"

    with pytest.raises(BadInput, match="The model words understands words only"):
        embedding(Words(), Example(Path("/tmp/a.wav")), np.zeros(128, np.float32))  # type: ignore[arg-type]
