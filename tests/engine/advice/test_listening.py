"""What is heard, with a model whose ears are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from engine.advice.listening import LIKELY, listen
from engine.errors import BadInput, Cancelled, Failure
from engine.job import Job, Task
from engine.models.base import FloatArray, FrameGrid
from engine.status import Heard

RATE = 16_000
GRID = FrameGrid(32_000, 2048, 640, block=16, context=16, core=64)


@dataclass(frozen=True)
class Ears:
    """Hears something low, or a car start, where one of two bands is loud."""

    name: str = "ears"
    frame_grid: FrameGrid = GRID
    labels: tuple[str, ...] = ("never", "low", "car start")
    wrong: float | None = None

    def embed(self, query: str) -> FloatArray:
        return np.zeros(1, np.float32)

    def mask(self, *_: object) -> FloatArray:
        raise AssertionError("nobody asked for a mask")

    def hear(self, magnitude: FloatArray, rms: float) -> FloatArray:
        if self.wrong is not None:
            return np.full(len(self.labels), self.wrong, np.float32)
        level = magnitude.max(axis=(0, 1))
        low, high = level[:200].max(), level[200:].max()
        return np.array([0.1, 0.9 if low > 50 else 0.2, 0.8 if high > 50 else 0.1], np.float32)


@pytest.fixture
def job(wav: Callable[..., Path]) -> Job:
    """Twelve seconds: a low tone from 0 to 3 s, a high one from 9 to 12 s in the right channel."""
    t = np.arange(12 * RATE) / RATE
    low = np.sin(2 * np.pi * 300 * t) * (t < 3)
    high = np.sin(2 * np.pi * 6000 * t) * (t >= 9)
    samples = np.stack([low, low + high]).astype(np.float32) * 0.5
    return Job("job-1", wav(samples, RATE), (), task=Task.LISTEN)


def test_what_is_heard_and_when(job: Job, tmp_path: Path) -> None:
    shares: list[float] = []
    found = listen(job, Ears(), tmp_path / "out", on_progress=shares.append)
    assert [one.name for one in found] == ["low", "starting a car", "never"]
    low, car, never = found
    assert low.probability == pytest.approx(0.9)
    ((start, stop),) = low.times
    assert start == 0.0
    assert 3.0 <= stop <= 7.0  # to within a window
    ((start, stop),) = car.times
    assert 5.0 <= start <= 9.0
    assert stop == 12.0
    assert never.times == ()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert not (tmp_path / "out").exists()
    for one in found:
        assert Heard.from_value(one.to_value()) == one


def test_of_many_sounds_only_the_likely_ones_are_named(job: Job, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Many(Ears):
        labels: tuple[str, ...] = tuple(f"sound {n}" for n in range(100))
        likely: int = 30

        def hear(self, magnitude: FloatArray, rms: float) -> FloatArray:
            return np.where(np.arange(100) < self.likely, LIKELY, LIKELY - 0.01).astype(np.float32)

    assert len(listen(job, Many(), tmp_path / "out")) == 20
    assert len(listen(job, Many(likely=7), tmp_path / "out")) == 7
    assert len(listen(job, Many(likely=0), tmp_path / "out")) == 3


def test_a_sound_shorter_than_a_window_is_heard(wav: Callable[..., Path], tmp_path: Path) -> None:
    samples = np.zeros((1, RATE * 54 // 100), np.float32)
    samples[0, 1000:3000] = np.sin(np.arange(2000) / 8) * 0.5
    short = Job("job-1", wav(samples, RATE), (), task=Task.LISTEN)
    first = listen(short, Ears(), tmp_path / "out")[0]
    assert (first.name, first.times) == ("low", ((0.0, 0.5),))


@pytest.mark.parametrize("second", [0, 3.9, 5.5, 7.9, 9.7])
def test_nothing_is_passed_over(second: float, wav: Callable[..., Path], tmp_path: Path) -> None:
    t = np.arange(10 * RATE) / RATE
    tone = np.sin(2 * np.pi * 300 * t) * ((t >= second) & (t < second + 0.25)) * 0.5
    job = Job("job-1", wav(tone[None].astype(np.float32), RATE), (), task=Task.LISTEN)
    (low, *_) = listen(job, Ears(), tmp_path / "out")
    assert low.name == "low"
    assert any(start <= second <= stop for start, stop in low.times)


def test_a_model_without_ears_says_so(job: Job, tmp_path: Path) -> None:
    class Deaf:
        name = "deaf"
        frame_grid = GRID
        embed = Ears.embed
        mask = Ears.mask

    with pytest.raises(BadInput, match="The model deaf cannot say what is in a recording"):
        listen(job, Deaf(), tmp_path / "out")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_a_failure(job: Job, tmp_path: Path, wrong: float) -> None:
    with pytest.raises(Failure, match="not probabilities"):
        listen(job, replace(Ears(), wrong=wrong), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cancelled_it_leaves_nothing(job: Job, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        listen(job, Ears(), tmp_path / "out", cancelled=lambda: True)
    assert not (tmp_path / "out").exists()
