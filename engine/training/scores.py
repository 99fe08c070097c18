"""How good a separation is, in decibels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR_DB = -30.0
"""Scores are not followed below this: the answer is wrong, and how wrong says nothing."""


def si_sdr(
    truth: NDArray[np.float32], estimate: NDArray[np.float32], floor: float = FLOOR_DB
) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB, at least ``floor``.

    Both are of the same shape; channels are taken as one long signal. Le Roux et al. 2019,
    "SDR - half-baked or well done?", without removal of the mean.
    """
    reference = np.asarray(truth, np.float64).ravel()
    guess = np.asarray(estimate, np.float64).ravel()
    energy = float(reference @ reference)
    if energy <= 0:
        raise ValueError("SI-SDR of a silent truth is not defined")
    projection = float(guess @ reference) / energy * reference
    error = guess - projection
    wanted, unwanted = float(projection @ projection), float(error @ error)
    if wanted <= 0:
        return floor
    return max(floor, 10 * float(np.log10(wanted / max(unwanted, 1e-10 * wanted))))
