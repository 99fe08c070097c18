"""DeepFilterNet3 over a recording that comes in stretches: the same as over all of it at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from engine.models.base import ComplexArray, FloatArray
from engine.models.deepfilternet.filterbank import (
    BINS,
    FIRST_LEVELS,
    FIRST_MAGNITUDES,
    HOP,
    LOOKAHEAD,
    Doubles,
    analysed,
    band_features,
    filtered,
    low_features,
    synthesised,
)
from engine.models.deepfilternet.network import BANDS, LOW_BINS, TAPS, Network, Past

__all__ = ["DELAY", "Memory", "speech"]

DELAY = (LOOKAHEAD + 1) * HOP
"""Samples by which the answer lags: two frames of look-ahead, and half a frame of overlap."""
_EMPTY = 1e-6
"""Peak below which a frame holds nothing."""
_PATIENCE = 5
"""Empty frames in a row that the network still sees; it rests in those that follow."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What is kept of the samples so far."""

    hop: FloatArray
    idle: int
    """Empty frames in a row, at the end."""
    levels: Doubles
    magnitudes: Doubles
    past: Past
    spectrum: ComplexArray
    tail: FloatArray

    @classmethod
    def none(cls) -> Memory:
        """Return the memory at a recording's start."""
        return cls(
            np.zeros(HOP, np.float32),
            _PATIENCE,
            FIRST_LEVELS,
            FIRST_MAGNITUDES,
            Past.none(),
            np.zeros((TAPS - 1, BINS), np.complex64),
            np.zeros(HOP, np.float32),
        )


def speech(network: Network, samples: FloatArray, memory: Memory) -> tuple[FloatArray, Memory]:
    """Return the speech in the samples of whole hops, `DELAY` samples late, and what to keep.

    In silence the network rests, and goes on behind it from where it was: thirty seconds of zeros
    would else cost the two seconds after them 4 dB. `samples` is `(samples,)` at `SAMPLE_RATE`, at
    about the level that the network knows; the speech has the same shape.
    """
    with_past = np.concatenate([memory.hop, samples])
    spectrum = analysed(with_past)
    awake, idle = _awake(with_past, memory.idle)
    gains = np.zeros((len(spectrum), BANDS), np.float32)
    filters = np.zeros((len(spectrum), LOW_BINS, TAPS, 2), np.float32)
    levels, magnitudes, past = memory.levels, memory.magnitudes, memory.past
    if awake.any():
        bands, levels = band_features(spectrum[awake], levels)
        low, magnitudes = low_features(spectrum[awake], magnitudes)
        with torch.inference_mode():
            answer = network(torch.from_numpy(bands), torch.from_numpy(low), past)
        gains[awake], filters[awake], past = answer[0].numpy(), answer[1].numpy(), answer[2]
    heard = np.concatenate([memory.spectrum, spectrum])
    found, tail = synthesised(filtered(heard, gains, filters), memory.tail)
    kept = heard[len(heard) - (TAPS - 1) :].copy()
    return found, Memory(samples[-HOP:].copy(), idle, levels, magnitudes, past, kept, tail)


def _awake(samples: FloatArray, idle: int) -> tuple[npt.NDArray[np.bool_], int]:
    """Return which frames the network sees, and the number of empty ones at the end."""
    peaks = np.abs(samples).reshape(-1, HOP).max(axis=1)
    awake = np.empty(len(peaks) - 1, np.bool_)
    for frame, peak in enumerate(np.maximum(peaks[:-1], peaks[1:])):
        idle = 0 if peak >= _EMPTY else idle + 1
        awake[frame] = idle <= _PATIENCE
    return awake, idle
