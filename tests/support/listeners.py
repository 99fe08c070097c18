"""A listener whose ears are known: it hears tones. Spawned processes import it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.models.base import FloatArray, HearingGrid

GRID = HearingGrid(16_000, window=16_000, hop=8_000, context=4_000)
TONES = {"Bark": 400.0, "Meow": 1500.0, "Rain": 5000.0}


@dataclass(frozen=True)
class Tones:
    """Hears a tone for each of three sounds, as likely as it is loud; "Dog" whenever it barks."""

    name: str = "tones"
    hearing_grid: HearingGrid = GRID
    labels: tuple[str, ...] = (*TONES, "Dog", "Animal", "Silence")
    wrong: float | None = None
    calls: list[int] = field(default_factory=list, compare=False)

    def hear(self, samples: FloatArray) -> FloatArray:
        inner = self._inner(samples)
        self.calls.append(inner.shape[-1])
        starts = range(self.hearing_grid.windows(inner.shape[-1]))
        grid = self.hearing_grid
        out = np.zeros((len(starts), len(self.labels)), np.float32)
        for window in starts:
            part = inner[:, window * grid.hop : window * grid.hop + grid.window]
            out[window, :3] = self.levels(part)
        out[:, 3] = 0.9 * out[:, 0]
        out[:, 4] = 0.95 * np.maximum(out[:, 0], out[:, 1])
        out[:, 5] = 1.0
        return out if self.wrong is None else np.full_like(out, self.wrong)

    def vectors(self, samples: FloatArray) -> FloatArray:
        heard = self.hear(samples)[:, :3] + 1e-3
        out = np.zeros((len(heard), 128), np.float32)
        out[:, :3] = heard / np.linalg.norm(heard, axis=1, keepdims=True)
        return out

    def both(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.hear(samples), self.vectors(samples)

    def example(self, samples: FloatArray) -> FloatArray:
        context = ((0, 0), (self.hearing_grid.context,) * 2)
        total = self.vectors(np.pad(samples, context)).sum(axis=0)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def _inner(self, samples: FloatArray) -> FloatArray:
        context = self.hearing_grid.context
        assert samples.dtype == np.float32
        return samples[:, context : samples.shape[1] - context]

    def levels(self, part: FloatArray) -> list[float]:
        """How much of each tone is in the louder channel, 0 to 0.98."""
        t = np.arange(part.shape[1]) / self.hearing_grid.sample_rate
        return [
            min(0.98, float(np.abs(part @ np.exp(2j * np.pi * hertz * t)).max() / len(t) * 8))
            for hertz in TONES.values()
        ]


SPEECH_LAST = (*TONES, "Dog", "Animal", "Speech")


class NoSpeech(Tones):
    """Is asked whether somebody speaks, and never hears it."""

    def hear(self, samples: FloatArray) -> FloatArray:
        return np.zeros_like(super().hear(samples))


def tone(name: str, rate: int, seconds: float, *when: tuple[float, float]) -> FloatArray:
    """Return the tone of a sound as a row, in the stretches that are named, else silence."""
    t = np.arange(round(seconds * rate)) / rate
    on = np.zeros(len(t), bool)
    for start, stop in when:
        on |= (t >= start) & (t < stop)
    return (0.5 * np.sin(2 * np.pi * TONES[name] * t) * on).astype(np.float32)
