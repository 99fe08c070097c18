"""Stretches hold each window of a recording once, whatever blocks it comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.base import HearingGrid
from engine.sound.hearing import stretches

GRIDS = (
    HearingGrid(1000, window=96, hop=48, context=20),
    HearingGrid(1000, window=50, hop=50, context=0),
    HearingGrid(1000, window=101, hop=7, context=500),
)


@given(
    grid=st.sampled_from(GRIDS),
    frames=st.integers(1, 2000),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    seconds=st.sampled_from([0.05, 0.3, 20.0]),
)
def test_each_window_comes_once_with_its_surroundings(
    grid: HearingGrid, frames: int, cuts: list[int], seconds: float
) -> None:
    samples = np.arange(1, 2 * frames + 1, dtype=np.float32).reshape(2, frames)
    blocks = np.split(samples, sorted(min(cut, frames) for cut in cuts), axis=1)
    found = list(stretches(blocks, grid, seconds=seconds))
    windows = 1 + max(0, -(-(frames - grid.window) // grid.hop))
    reach = windows * grid.hop + grid.window + grid.context
    whole = np.pad(samples, ((0, 0), (grid.context, reach)))
    number = 0
    for stretch in found:
        inner = stretch.shape[1] - 2 * grid.context
        assert (inner - grid.window) % grid.hop == 0
        start = number * grid.hop
        assert np.array_equal(stretch, whole[:, start : start + stretch.shape[1]])
        number += grid.windows(inner)
    assert number == windows  # the last window reaches the end, the one before it does not
    assert (number - 1) * grid.hop + grid.window >= frames
    longest = max(1, round(seconds * grid.sample_rate / grid.hop)) * grid.hop
    most = longest + grid.window + 2 * grid.context
    assert max(stretch.shape[1] for stretch in found) <= most


def test_of_nothing_there_are_no_stretches() -> None:
    assert list(stretches([], GRIDS[0])) == []
    assert list(stretches([np.zeros((2, 0), np.float32)], GRIDS[0])) == []


@pytest.mark.parametrize("values", [(0, 1, 1, 0), (16_000, 100, 101, 0), (16_000, 9000, 8001, 0)])
def test_windows_that_leave_gaps_are_refused(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"not a hearing grid|too far apart"):
        HearingGrid(*values)
