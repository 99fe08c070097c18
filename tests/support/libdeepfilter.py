"""DeepFilterNet's own library, from the wheel: what the network is compared with, in tests only."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

HOP = 480
DELAY = 3 * HOP
NAMES = {"linux": "libdeepfilter.so", "darwin": "libdeepfilter.dylib", "win32": "deepfilter.dll"}


def library(archive: Path) -> Path:
    """Return where the library lies beside the archive."""
    return archive.parents[1] / "_native" / NAMES[sys.platform]


def enhanced(archive: Path, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the library makes of mono samples at 48 kHz, without its delay."""
    native = ctypes.CDLL(str(library(archive)))
    native.df_create.restype = ctypes.c_void_p
    native.df_create.argtypes = (ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p)
    native.df_process_frame.restype = ctypes.c_float
    native.df_process_frame.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    native.df_free.argtypes = (ctypes.c_void_p,)
    native.df_free.restype = None
    count = len(samples)
    x = np.pad(samples, (0, -count % HOP + DELAY)).astype(np.float32)
    y = np.zeros_like(x)
    state = native.df_create(str(archive).encode(), 100.0, None)  # 100 dB: no limit
    try:
        for start in range(0, len(x), HOP):
            native.df_process_frame(state, x[start:].ctypes.data, y[start:].ctypes.data)
    finally:
        native.df_free(state)
    return y[DELAY : DELAY + count]
