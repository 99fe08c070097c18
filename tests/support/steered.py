"""A separator that a sound can steer, and hears the tones that `listeners.Tones` hears."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from known_models import GRID
from listeners import TONES

from engine.models.base import FloatArray, FrameGrid

LEAK, GAIN = 0.4, 0.5


@dataclass(frozen=True)
class Leaky:
    """Passes the tone that it is asked for, and two fifths of all others.

    `told` notes the vectors that it was asked with; one of 256 numbers says what else is there.
    """

    name: str = "leaky"
    frame_grid: FrameGrid = GRID
    weight: float = 0.75
    told: list[FloatArray] = field(default_factory=list, compare=False)

    def embed(self, query: str) -> FloatArray:
        names = [name.lower() for name in TONES]
        place = np.zeros(128, np.float32)
        place[names.index(query)] = 1
        return place

    def embed_sound(self, place: FloatArray, query: str | None) -> FloatArray:
        assert query is None
        return place

    def beside(self, own: FloatArray, others: list[FloatArray]) -> FloatArray:
        return np.concatenate([own, np.sum([np.zeros(128), *others], axis=0)]).astype(np.float32)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        self.told.append(vectors)
        bins = np.arange(self.frame_grid.bins) * self.frame_grid.sample_rate / self.frame_grid.n_fft
        near = np.stack([np.abs(bins - hertz) < 150 for hertz in TONES.values()])
        rows = LEAK + GAIN * vectors[:, :3] @ near
        out = np.broadcast_to(
            rows[:, None, None, :], (len(vectors), *magnitude.shape[:2], self.frame_grid.bins)
        )
        return np.ascontiguousarray(out, np.float32)
