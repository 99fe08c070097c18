"""What classes mean in AudioSet's words, and what a teacher's contradiction leads to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput
from engine.models.ears.weights import load_labels
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import TEST, TRAIN, Clip
from engine.training.teacher import (
    DROP,
    KEEP,
    RELABEL,
    Teacher,
    active,
    ancestors,
    corrected,
    load_meanings,
    log_mel,
    patches_of,
    sole_classes,
    verdict,
)

CLIP = Clip("dog", "games", "dog.ogg", "dog", TRAIN, 0, 32000)


def test_every_class_is_known_to_the_listener() -> None:
    meanings, labels = load_meanings(), set(load_labels())
    assert meanings.keys() == load_taxonomy().classes.keys()
    for name, meaning in meanings.items():
        assert {*meaning.names, *meaning.related} <= labels, name
        assert meaning.names or meaning.related, name
        assert not set(meaning.names) & set(meaning.related), name


def test_what_agrees() -> None:
    agreeing = load_meanings()["dog"].agreeing
    assert {"Dog", "Bark", "Whimper (dog)", "Animal"} <= agreeing
    assert "Cat" not in agreeing
    assert ancestors("Bark") >= {"Dog", "Domestic animals, pets", "Animal"}


@pytest.mark.parametrize(
    ("clip", "agreement", "instead", "score", "decision"),
    [
        (CLIP, 0.0, "Rain", 0.9, (RELABEL, "rain")),
        (CLIP, 0.0, "Television", 0.9, (DROP, "dog")),
        (CLIP, 0.0, "Chink, clink", 0.9, (DROP, "dog")),  # of a class that no training may see
        (CLIP, 0.0, "Rain", 0.3, (KEEP, "dog")),
        (CLIP, 0.05, "Rain", 0.9, (KEEP, "dog")),
        (replace(CLIP, split=TEST), 0.0, "Rain", 0.9, (KEEP, "dog")),
        (replace(CLIP, name="speech"), 0.0, "Rain", 0.9, (KEEP, "speech")),
        (replace(CLIP, name="violin"), 0.0, "Rain", 0.9, (KEEP, "violin")),
    ],
)
def test_verdicts(
    clip: Clip, agreement: float, instead: str, score: float, decision: tuple[str, str]
) -> None:
    known_as = sole_classes(load_meanings())
    assert known_as["Chink, clink"] == "glass clink"
    assert verdict(clip, agreement, instead, score, known_as) == decision


def test_the_verdict_reaches_the_training(tmp_path: Path) -> None:
    clips = [replace(CLIP, start=start) for start in (0, 1, 2)]
    assert corrected(tmp_path, clips) == clips
    (tmp_path / "contradicted.csv").write_text(
        "start,decision,class\n1,drop,dog\n2,relabel,rain\n", encoding="utf-8"
    )
    assert corrected(tmp_path, clips) == [clips[0], replace(clips[2], name="rain")]


def test_patches() -> None:
    frames = np.arange(64 * 200, dtype=np.float32).reshape(200, 64)
    patches = patches_of(frames)
    assert patches.shape == (3, 96, 64)
    np.testing.assert_array_equal(patches[2], frames[96:192])
    assert patches_of(frames[:10]).shape == (1, 96, 64)


def test_quiet_patches_do_not_count() -> None:
    samples = np.zeros(16000 * 5, np.float32)
    samples[:16000] = 0.5
    assert active(samples, 9).tolist() == [True, True, True] + [False] * 6


def test_a_folder_without_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"yamnet_spectra_in\.tflite is missing"):
        Teacher(tmp_path)


def test_it_is_given_what_it_learned_from(teacher_folder: Path) -> None:
    """Its other form computes the logarithms itself, with coarse weights: noise drowns those."""
    from ai_edge_litert.interpreter import Interpreter

    whole = Interpreter(str(teacher_folder / "yamnet_waveform_in.tflite"), num_threads=1)
    whole.allocate_tensors()
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(15600)).astype(np.float32)
    whole.set_tensor(whole.get_input_details()[0]["index"], samples[None])
    whole.invoke()
    (wanted,) = (
        whole.get_tensor(detail["index"])
        for detail in whole.get_output_details()
        if list(detail["shape"]) == [96, 64]
    )
    difference = log_mel(samples) - wanted
    assert np.abs(difference).mean() < 0.01
    assert abs(difference.mean()) < 0.002


def test_it_hears(teacher_folder: Path) -> None:
    teacher = Teacher(teacher_folder)
    assert teacher.labels == load_labels()
    time = np.arange(32000) / 16000
    beep = (0.3 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    scores = teacher.scores(beep)
    assert scores.shape == (3, 521)
    assert teacher.embeddings(beep).shape == (3, 1024)
    likeliest = {teacher.labels[i] for i in scores.mean(axis=0).argsort()[-5:]}
    assert likeliest & {"Beep, bleep", "Sine wave", "Dial tone", "Busy signal"}
