"""How loud a recording or clip is, so that two can be compared at the same loudness.

ITU-R BS.1770-4, with pyloudnorm's filters, over blocks: pyloudnorm itself takes a copy of the
whole. Blocking, for a thread.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bridge.doors.panel.samples import Samples

__all__ = ["loudness"]

_Energies = npt.NDArray[np.float64]

_GATE = 0.4  # seconds of a gating block; they overlap by three quarters
_ABSOLUTE = -70.0  # LUFS below which a block does not count
_RELATIVE = -10.0  # LU below the mean of those that do
_OFFSET = -0.691
_BLOCK = 1 << 18  # frames


def loudness(samples: Samples) -> float | None:
    """Return the integrated loudness in LUFS; None of what is silent.

    What is shorter than a gating block, 0.4 s, is measured by its RMS.

    Raises
    ------
    Failure
        The samples are gone.

    """
    info = samples.info
    if info.frames < _GATE * info.rate:
        whole = samples.read(0, info.frames).astype(np.float64)
        return _decibels(float((whole**2).mean(axis=1).sum())) if info.frames else None
    return _gated(_energies(samples), info.rate)


def _energies(samples: Samples) -> _Energies:
    """Return the energy of each quarter of a gating block, K-weighted, summed over channels."""
    from pyloudnorm import Meter  # brings scipy.signal, which takes a while
    from scipy.signal import lfilter

    info = samples.info
    stages = list(Meter(info.rate)._filters.values())
    states = [np.zeros((info.channels, max(len(s.a), len(s.b)) - 1)) for s in stages]
    count = round((info.frames / info.rate - _GATE) / (_GATE / 4)) + 1
    # As pyloudnorm rounds them: block j begins at edge j and ends at edge j + 4.
    edges = np.array([int(_GATE * (j * 0.25) * info.rate) for j in range(count + 4)])
    energies = np.zeros(count + 3)
    for start in range(0, info.frames, _BLOCK):
        block = samples.read(start, min(start + _BLOCK, info.frames)).astype(np.float64)
        for number, stage in enumerate(stages):
            block, states[number] = lfilter(stage.b, stage.a, block, axis=1, zi=states[number])
            block = block * stage.passband_gain
        power = (block**2).sum(axis=0)
        inside = np.clip(edges - start, 0, len(power))
        for part in np.flatnonzero(inside[1:] > inside[:-1]):
            energies[part] += power[inside[part] : inside[part + 1]].sum()
    return energies


def _gated(energies: _Energies, rate: int) -> float | None:
    four = np.lib.stride_tricks.sliding_window_view(energies, 4)
    blocks = four.sum(axis=1) / (_GATE * rate)
    with np.errstate(divide="ignore"):
        loud = _OFFSET + 10 * np.log10(blocks)
    counted = blocks[loud >= _ABSOLUTE]
    mean = _decibels(float(counted.mean())) if len(counted) else None
    if mean is None:
        return None
    counted = blocks[(loud > mean + _RELATIVE) & (loud > _ABSOLUTE)]
    return _decibels(float(counted.mean())) if len(counted) else None


def _decibels(power: float) -> float | None:
    return _OFFSET + 10 * math.log10(power) if power > 0 else None
