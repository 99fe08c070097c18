"""Copies are found: of whole clips, and of stretches that moved in time."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.fingerprints import copies, fingerprint, landmarks, merge_duplicates
from engine.training.mixing import encode
from tests.engine.training.test_corpus import melody


def test_copies_are_dropped_and_their_groups_joined() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal(8000).astype(np.float32)
    copy = first * 0.5 + 1e-4 * rng.standard_normal(8000).astype(np.float32)
    other = np.cumsum(rng.standard_normal(8000)).astype(np.float32)
    prints = np.stack([fingerprint(audio) for audio in (first, copy, other)])
    keep, groups = merge_duplicates(prints, [8000] * 3, ["a", "b", "c"], ["x"] * 3)
    assert keep == [True, False, True]
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize("shift", [0, 1024 * 20, 33333])
def test_a_stretch_is_found_in_another_recording(shift: int) -> None:
    rng = np.random.default_rng(3)
    known = [melody(rng, 4).astype(np.float32) for _ in range(4)]
    part = encode(known[2][shift : shift + 64000] * np.float32(0.3), rng)
    stranger = melody(rng, 4).astype(np.float32)
    found = copies([landmarks(one) for one in known], [landmarks(part), landmarks(stranger)])
    assert found == [2, None]


def test_noise_is_no_copy_of_other_noise() -> None:
    rng = np.random.default_rng(4)
    noises = [rng.standard_normal(96000).astype(np.float32) for _ in range(6)]
    marks = [landmarks(noise) for noise in noises]
    assert copies(marks[:3], marks[3:]) == [None] * 3


def test_nothing_is_a_copy_of_nothing() -> None:
    silence = landmarks(np.zeros(500, np.float32))
    assert copies([], [silence]) == [None]
    assert copies([silence], [silence, landmarks(np.zeros(1, np.float32))]) == [None, None]
