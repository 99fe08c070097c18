"""What a library in Rust raises where it finds no memory, as Python says it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["panics_as_memory_errors"]

_PANIC = "pyo3_runtime"  # the module of PyO3's PanicException, which no import reaches


@contextlib.contextmanager
def panics_as_memory_errors() -> Iterator[None]:
    """Turn a panic inside the block into a MemoryError.

    `safetensors` reads from memory by copying each tensor, and panics where there is no room for
    the copy; PyO3 raises that as a BaseException, which no `except Exception` catches. What is
    wrong with a file it says by an error of its own.

    Raises
    ------
    MemoryError
        The library panicked.

    """
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != _PANIC:
            raise
        raise MemoryError(f"There was no memory for the copy of a tensor ({error}).") from error
