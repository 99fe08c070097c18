from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.job import Job
from engine.options import Options


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Write float32 samples of shape (channels, frames) to a WAV file."""

    def write(samples: np.ndarray, rate: int, name: str = "mixture.wav") -> Path:
        path = tmp_path / name
        soundfile.write(path, samples.T, rate, subtype="FLOAT")
        return path

    return write


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    def make(mixture: Path, *queries: str, title: str = "", **options: object) -> Job:
        return Job("job-1", mixture, queries or ("a dog",), Options(**options), title=title)  # type: ignore[arg-type]

    return make
