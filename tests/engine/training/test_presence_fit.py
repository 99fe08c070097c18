"""Presence is fitted on recordings that the listener has not learned from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput
from engine.training.corpus import TRAIN, Clip
from engine.training.lessons import kept_back
from engine.training.presence import training_set

HEADER = "name,source,path,group,split,start,length\n"
SECOND = 32_000


def groups(*, back: bool) -> Iterator[str]:
    """Names of recordings that are kept from the listener, or are not."""
    names = (f"recording {number}" for number in range(10_000))
    yield from (g for g in names if kept_back(Clip("", "", "", g, TRAIN, 0, 0)) == back)


def corpus(folder: Path, back: tuple[str, ...], taught: tuple[str, ...]) -> Path:
    """A second of noise of each class; what the listener was taught is silent."""
    kept, lessons = groups(back=True), groups(back=False)
    rows = [(name, next(kept)) for name in back] + [(name, next(lessons)) for name in taught]
    lines = [
        f"{name},s,{group}.wav,{group},{TRAIN},{number * SECOND},{SECOND}\n"
        for number, (name, group) in enumerate(rows)
    ]
    (folder / "clips.csv").write_text(HEADER + "".join(lines), "utf-8")
    noise = np.random.default_rng(0).uniform(-9000, 9000, len(back) * SECOND).astype("<i2")
    np.concatenate([noise, np.zeros(len(taught) * SECOND, "<i2")]).tofile(folder / "audio.i16")
    return folder


def test_mixtures_hold_what_was_kept_back_alone(tmp_path: Path) -> None:
    folder = corpus(tmp_path, ("dog", "rain", "guitar", "clock"), ("cat", "wind", "thunder"))
    found = list(training_set(folder, 6).scenes())
    assert len(found) == 6
    asked = {question.name for scene in found for question in scene.questions}
    assert asked <= {"dog", "rain", "guitar", "clock"}
    assert len(asked) > 1
    for scene in found:
        assert all(np.abs(question.truth).max() > 0 for question in scene.questions)


def test_a_corpus_that_keeps_too_few_is_refused(tmp_path: Path) -> None:
    folder = corpus(tmp_path, ("dog", "rain"), ("cat", "wind", "thunder"))
    with pytest.raises(BadInput, match=r"2 classes from the listener.*build a larger corpus"):
        training_set(folder, 6)
