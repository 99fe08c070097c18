"""The loaded listener: windows of a recording in, probabilities and vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.models.base import FloatArray, HearingGrid
from engine.models.ears.network import POSITIONS, REACH, STEP, STRIDE, VECTOR, windows_of
from engine.models.ears.spectra import HOP, SAMPLE_RATE, magnitudes
from engine.models.ears.weights import load_labels
from engine.models.torch_threads import torch_threads

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.models.ears.network import EarsNet

__all__ = ["GRID", "Ears"]

GRID = HearingGrid(
    SAMPLE_RATE,
    window=POSITIONS * STRIDE * HOP,
    hop=STEP * STRIDE * HOP,
    context=-(-REACH // STRIDE) * STRIDE * HOP,
)
_AT_A_TIME = 60
"""Windows of one pass: half a minute, to bound memory."""
_ACTIVE_DB = 25.0
"""Windows this much quieter than the loudest do not count in an example."""


class Ears:
    """A :class:`engine.models.base.Listener`."""

    name = "ears"
    hearing_grid = GRID

    def __init__(self, net: EarsNet) -> None:
        self.net = net.eval()
        self.labels = load_labels()

    def computing(self, threads: int) -> AbstractContextManager[None]:
        """Compute in so many threads; see :class:`engine.models.base.Shareable`."""
        return torch_threads(threads)

    def hear(self, samples: FloatArray) -> FloatArray:
        """Return probabilities ``(windows, labels)``; see :meth:`both`."""
        return self.both(samples)[0]

    def vectors(self, samples: FloatArray) -> FloatArray:
        """Return unit vectors ``(windows, 128)``; see :meth:`both`."""
        return self.both(samples)[1]

    def both(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each label's probability, and a vector among the texts, for every window.

        Parameters
        ----------
        samples
            ``(channels, context + n + context)`` at the rate of :attr:`hearing_grid`; zeros beyond
            the ends of a recording. Window ``w`` is about the samples ``[w * hop, w * hop +
            window)`` of the ``n``.

        Returns
        -------
        probabilities
            ``(windows, labels)``
        vectors
            ``(windows, 128)``

        """
        count = GRID.windows(samples.shape[1] - 2 * GRID.context)
        scores = np.empty((count, len(self.labels)), np.float32)
        vectors = np.empty((count, VECTOR), np.float32)
        for start in range(0, count, _AT_A_TIME):
            stop = min(start + _AT_A_TIME, count)
            last = 2 * GRID.context + (stop - 1) * GRID.hop + GRID.window
            heard = self._pass(samples[:, start * GRID.hop : last])
            scores[start:stop], vectors[start:stop] = (part[: stop - start] for part in heard)
        return scores, vectors

    def example(self, samples: FloatArray) -> FloatArray:
        """Place a few seconds of sound, ``(channels, n)`` without context, among the texts.

        Returns a unit vector ``(128,)``: the mean of the vectors of all windows that are not much
        quieter than the loudest, louder ones counting more; zeros for silence.
        """
        hops = -(-max(0, samples.shape[1] - GRID.window) // GRID.hop)
        short = hops * GRID.hop + GRID.window - samples.shape[1]  # the last window's, in zeros
        audio = np.asarray(samples, np.float32)
        padded = np.pad(audio, ((0, 0), (GRID.context, GRID.context + short)))
        placed = self.vectors(padded)
        inside = padded[:, GRID.context : padded.shape[1] - GRID.context]
        power = np.square(inside, dtype=np.float64).mean(axis=0)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        starts = np.arange(len(placed)) * GRID.hop
        loud = sums[starts + GRID.window] - sums[starts]
        if not loud.max() > 0:
            return np.zeros(VECTOR, np.float32)
        weights = np.where(loud > loud.max() * 10 ** (-_ACTIVE_DB / 10), loud**0.25, 0.0)
        total = weights @ placed
        return np.asarray(total / (np.linalg.norm(total) + 1e-9), np.float32)

    def _pass(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        heard = torch.from_numpy(magnitudes(samples))
        with torch.inference_mode():
            inside = self.net.positions(heard[None])[:, GRID.context // (STRIDE * HOP) :]
            logits, placed = self.net.judge(windows_of(inside)[0])
            return torch.sigmoid(logits).numpy(), placed.numpy()
