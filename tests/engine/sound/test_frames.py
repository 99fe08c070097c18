"""The transforms: each frame has the same bits in any company, and nothing needs torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.base import FrameGrid
from engine.sound import frames
from engine.sound.frames import MixtureGrid, inverse, spectrum, window

WIDTHS = (2, 64, 512, 1412, 2048, 2374, 2822, 3072, 6144)  # powers of two, and large primes


@settings(deadline=None)
@given(
    width=st.sampled_from(WIDTHS),
    channels=st.integers(1, 2),
    count=st.integers(1, 40),
    first=st.integers(0, 39),
    workers=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_a_frame_has_the_same_bits_in_any_batch(width, channels, count, first, workers, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((channels, count, width)).astype(np.float32)
    first = min(first, count - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "threads", lambda: 1)
        bins = spectrum(x, window(width))
        back = inverse(bins, width)
        assert (bins.dtype, back.dtype) == (np.complex64, np.float32)
        patch.setattr(frames, "threads", lambda: workers)
        part = np.ascontiguousarray(x[:, first:])
        assert spectrum(part, window(width)).tobytes() == bins[:, first:].tobytes()
        assert spectrum(x[:, first:], window(width)).tobytes() == bins[:, first:].tobytes()
        assert inverse(bins[:, first:], width).tobytes() == back[:, first:].tobytes()
        alone = spectrum(x[:1, first], window(width))
        assert alone.tobytes() == bins[:1, first].tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_transforms_are_those_of_float64_to_float32(width):
    x = np.random.default_rng(1).standard_normal((3, width)).astype(np.float32)
    exact = np.fft.rfft(x * window(width).astype(np.float64))
    got = spectrum(x, window(width))
    assert np.abs(got - exact).max() <= 1e-6 * np.abs(exact).max()
    assert np.abs(inverse(got, width) - x * window(width)).max() <= 2e-6 * np.abs(x).max()


@pytest.mark.parametrize("module", ["engine.sound.separate", "engine.advice.listening"])
def test_torch_is_not_needed(module):
    """Its import takes seconds, which a process without a network of its own should not pay."""
    code = f"import sys, {module}; assert 'scipy.fft' in sys.modules; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@given(rate=st.integers(1, 800_000), half=st.integers(1, 2048), model=st.integers(8000, 48_000))
def test_frames_are_as_long_as_the_models_and_fast_to_transform(rate, half, model):
    n_fft = 2 * half
    grid = MixtureGrid(rate, FrameGrid(model, n_fft, hop=n_fft // 2, block=1, context=0))
    exact = n_fft * rate / model
    assert grid.width % 2 == 0
    assert abs(grid.width - exact) <= 2.0 + 0.03 * exact
    if rate != model:
        rest = grid.width
        for factor in (2, 3, 5, 7, 11):
            while rest % factor == 0:
                rest //= factor
        assert rest == 1


@pytest.mark.parametrize(("rate", "width"), [(32_000, 1024), (44_100, 1408), (48_000, 1536)])
def test_the_width_of_a_frame(rate, width):
    assert MixtureGrid(rate, FrameGrid(32_000, 1024, 320, 1, 0)).width == width


def test_at_its_own_rate_a_models_frames_are_exact():
    assert MixtureGrid(32_000, FrameGrid(32_000, 1018, 320, 1, 0)).width == 1018
