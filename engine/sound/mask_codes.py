"""Masks as codes of 16 bits.

Each number is stored as its square root: steps are fine where masks are small, which is where
competing and sharpness below 1 magnify them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.models.base import FloatArray
from engine.sound.frames import Mask

__all__ = ["decoded", "encoded"]

_REAL, _COMPLEX = 65535, 32767  # codes of 1


def encoded(mask: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays in which a mask of any shape is stored."""
    stored: npt.NDArray[Any]
    if np.iscomplexobj(mask):
        parts = np.ascontiguousarray(mask, np.complex64).view(np.float32)
        if np.abs(parts).max(initial=0.0) > 1:
            return {"plain": mask}
        root = np.sqrt(np.abs(parts)) * np.float32(_COMPLEX)
        stored = np.copysign(np.rint(root, out=root), parts).astype(np.int16).view(np.uint16)
    else:
        if mask.min(initial=0.0) < 0 or mask.max(initial=0.0) > 1:
            return {"plain": mask}
        root = np.sqrt(mask, dtype=np.float32) * np.float32(_REAL)
        stored = np.rint(root, out=root).astype(np.uint16)
    # The upper bytes of neighbours are alike and get smaller; the lower ones are noise.
    octets = stored.reshape(-1).astype("<u2", copy=False).view(np.uint8).reshape(-1, 2)
    high = zlib.compress(octets[:, 1].tobytes(), 1)
    return {
        "high": np.frombuffer(high, np.uint8),
        "low": np.ascontiguousarray(octets[:, 0]),
        "shape": np.array(mask.shape),
        "turns": np.array(np.iscomplexobj(mask)),
    }


def decoded(stored: Mapping[str, npt.NDArray[Any]]) -> Mask:
    """Return the mask that `encoded` stored.

    Raises
    ------
    ValueError, KeyError, zlib.error
        The arrays hold something else.

    """
    if "plain" in stored:
        plain: Mask = stored["plain"]
        return plain
    shape = tuple(int(size) for size in stored["shape"])
    low, turns = stored["low"], bool(stored["turns"])
    octets = np.empty((len(low), 2), np.uint8)
    octets[:, 0] = low
    octets[:, 1] = np.frombuffer(zlib.decompress(stored["high"].tobytes()), np.uint8)
    numbers: FloatArray = _table(turns=turns)[octets.reshape(-1).view("<u2")]
    mask: Mask = numbers.view(np.complex64).reshape(shape) if turns else numbers.reshape(shape)
    return mask


_TABLES: dict[bool, FloatArray] = {}


def _table(*, turns: bool) -> FloatArray:
    """Return the number that each code stands for."""
    if turns not in _TABLES:
        codes = np.arange(1 << 16, dtype=np.uint16)
        if turns:
            root = codes.view(np.int16) / _COMPLEX
            _TABLES[turns] = (root * np.abs(root)).astype(np.float32)
        else:
            _TABLES[turns] = ((codes / _REAL) ** 2).astype(np.float32)
    return _TABLES[turns]
