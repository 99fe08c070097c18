"""An example is another recording than the one that is looked for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.by_example import example_of
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, Clip
from engine.training.mixing import ClipStore, place

LENGTH = SAMPLE_RATE


@pytest.fixture
def store() -> ClipStore:
    noise = np.random.default_rng(1).standard_normal(3 * LENGTH)
    clips = [
        Clip(name, "s", f"{number}.wav", f"recording {number}", HELD_OUT, number * LENGTH, LENGTH)
        for number, name in enumerate(("dog", "dog", "owl"))
    ]
    return ClipStore(np.asarray(noise * 3000, np.int16), clips)


@pytest.mark.parametrize("heard", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_the_other_recording_is_shown(store: ClipStore, heard: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dogs = [store.read(clip) for clip in store.by_class["dog"]]
    mixed = np.float32(0.1) * place(dogs[heard], 5 * SAMPLE_RATE, rng)
    shown = example_of(store, "dog", mixed, rng)
    assert shown is not None
    np.testing.assert_array_equal(shown, dogs[1 - heard])


def test_a_class_with_a_single_clip_has_no_example(store: ClipStore) -> None:
    rng = np.random.default_rng(1)
    (owl,) = (store.read(clip) for clip in store.by_class["owl"])
    assert example_of(store, "owl", place(owl, 5 * SAMPLE_RATE, rng), rng) is None
