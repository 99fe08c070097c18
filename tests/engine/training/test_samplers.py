"""Recorded notes become phrases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.training.samplers import SAMPLE_RATE, notes, phrase, render


def tone(note: int, seconds: float = 1.5) -> np.ndarray:
    frequency = 440 * 2 ** ((note - 69) / 12)
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * 44100)) / 44100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, note in (("A4", 69), ("Cs5", 73), ("C6", 84)):
        padded = np.concatenate([np.zeros(9999), tone(note)])
        soundfile.write(tmp_path / f"{name}.mp3", padded, 44100)
    soundfile.write(tmp_path / "readme.mp3", tone(69), 44100)
    return tmp_path


def test_notes_are_read_by_their_names(folder: Path) -> None:
    found = notes(folder)
    assert sorted(found) == [69, 73, 84]
    spectrum = np.abs(np.fft.rfft(found[73][2000:34000] * np.hanning(32000)))
    assert np.argmax(spectrum) == pytest.approx(554.4, abs=1.5)  # Hz: one second
    assert np.abs(found[69][:640]).max() > 0.1  # what was silent before the note is gone


@pytest.mark.parametrize("seed", range(8))
def test_phrases_are_whole_and_loud(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = phrase(notes(folder), bool(seed % 2), rng)
    assert found.shape == (8 * SAMPLE_RATE,)
    assert np.abs(found).max() == pytest.approx(0.9, rel=1e-5)
    assert np.mean(np.abs(found) > 0.01) > 0.3


def test_a_single_note_far_from_all_others_does(folder: Path) -> None:
    found = notes(folder)
    assert phrase({24: found[69]}, True, np.random.default_rng(1)).any()


def test_rendering_writes_the_same_files_again(folder: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert render(folder, tmp_path / out, 2, seed=5) == 2
    for name in ("phrase-00.wav", "phrase-01.wav"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_without_notes_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no notes"):
        render(tmp_path, tmp_path / "out", 1, 1)
