"""Figures that say how well a separation went."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["null_depth", "si_sdr"]

_FLOOR = 1e-30


def si_sdr(truth: npt.ArrayLike, estimate: npt.ArrayLike) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    Le Roux et al., "SDR - half-baked or well done?" (2019), over all channels together, without
    removing means. Both arrays have the shape `(channels, frames)`.

    >>> round(si_sdr([[1.0, 0.0]], [[0.5, 0.05]]))
    20
    """
    s = np.asarray(truth, np.float64).ravel()
    e = np.asarray(estimate, np.float64).ravel()
    projected = float(s @ e) / max(float(s @ s), _FLOOR) * s
    noise = e - projected
    return 10 * math.log10(
        max(float(projected @ projected), _FLOOR) / max(float(noise @ noise), _FLOOR)
    )


def null_depth(mixture: npt.ArrayLike, parts: Sequence[npt.ArrayLike]) -> float:
    """Return how far below the mixture what is left lies when its parts are taken out, in dB.

    `parts` are the targets and the residual, each of the mixture's shape `(channels, frames)`.
    """
    whole = np.asarray(mixture, np.float64)
    left = whole - sum(np.asarray(part, np.float64) for part in parts)
    return 10 * math.log10(
        max(float(np.sum(left**2)), _FLOOR) / max(float(np.sum(whole**2)), _FLOOR)
    )
