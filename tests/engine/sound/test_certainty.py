"""Certainty over time: bounded, of the likeliest block, and as good after a crash."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.base import FrameGrid
from engine.sound import checkpoints
from engine.sound.certainty import VALUES, CertaintyGrid
from engine.sound.overlap import Checkpoint

GRID = FrameGrid(32_000, 2048, 640, block=8, context=8, core=64)


@pytest.mark.parametrize("frames", [1, 8, 9, 16_000, 16_001, 180_001])
def test_a_recording_of_any_length_has_a_bounded_number_of_values(frames: int) -> None:
    grid = CertaintyGrid(GRID, frames)
    assert 1 <= grid.values <= VALUES
    assert (grid.values - 1) * grid.step < frames * 0.02 <= grid.values * grid.step + 1e-9
    if frames <= 16_000:
        assert grid.step == 0.16
    out = grid.nothing(2)
    blocks = -(-frames // 8)
    rng = np.random.default_rng(0)
    presence = rng.random((2, blocks)).astype(np.float32)
    for start in range(0, blocks, 128):
        part = presence[:, start : start + 128]
        out = grid.raised(out, start * 8, part)
    together = round(grid.step / 0.16)
    padded = np.pad(presence, ((0, 0), (0, -blocks % together)))
    assert np.array_equal(out, padded.reshape(2, -1, together).max(axis=2))


def test_an_older_checkpoint_keeps_its_presence(tmp_path) -> None:
    grid = CertaintyGrid(GRID, 800)
    path = tmp_path / "checkpoint.npz"
    presence = np.array([0.9, 0.1], np.float32)
    arrays = {"sums": np.zeros((2, 1, 3)), "weights": np.ones(3), "presence": presence}
    np.savez(path, signature=np.array("a"), done=np.array(64), base=np.array(7), **arrays)
    found = checkpoints.load(path, "a", grid)
    assert found is not None
    assert (found.done, found.base) == (64, 7)
    assert np.array_equal(found.presence, presence)
    assert np.array_equal(found.certainty[:, :8], np.repeat(presence[:, None], 8, axis=1))
    assert not found.certainty[:, 8:].any()
    checkpoints.save(path, found, "b")
    again = checkpoints.load(path, "b", grid)
    assert isinstance(again, Checkpoint)
    assert np.array_equal(again.certainty, found.certainty)
    assert checkpoints.load(path, "a", grid) is None
