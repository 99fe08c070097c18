"""Tensors out of the bytes of a safetensors file, where memory may be scarce."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["unpacked"]

_Tensors = TypeVar("_Tensors")

_SPARE = 4 << 20  # bytes beside the tensors, for what else reading them takes
_PANIC = "pyo3_runtime"  # the module of PyO3's PanicException, which no import reaches


def unpacked(load: Callable[[bytes], _Tensors], data: bytes) -> _Tensors:
    """Return what safetensors' ``load`` makes of a file's bytes.

    It copies each tensor, and where there is no room for a copy it panics: that is no Exception,
    and while the panic is printed the process may hang. So the room is tried first.

    Raises
    ------
    MemoryError
        There is no room for the copies.
    safetensors.SafetensorError
        The file is damaged.

    """
    bytearray(len(data) + _SPARE)
    try:
        return load(data)
    except BaseException as error:
        if type(error).__module__ != _PANIC:
            raise
        raise MemoryError(f"There was no memory for the copy of a tensor ({error}).") from error
