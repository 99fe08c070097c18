"""Which errors mean that memory ran out, and how much less a job takes when it is tried again."""

from __future__ import annotations

import errno

__all__ = ["OutOfMemory", "is_exhausted", "reduced"]

_FACTOR = 4  # a segment of the next attempt is this much shorter
# What torch, oneDNN, OpenVINO, the C++ library and Python say when they get no memory. oneDNN's
# sentence about primitives is what it says where there is none left for its code; the last is
# scipy's where the system gives it no thread.
_WORDS = (
    "allocate",
    "out of memory",
    "bad_alloc",
    "bad alloc",
    "could not create a",
    "new thread",
    "temporarily unavailable",
)


class OutOfMemory(MemoryError):  # noqa: N818
    """Memory ran out for good in a process that had tried with more; a fresh one may manage.

    What a process once took, libraries keep in caches and in pieces that nothing else fits into.
    """


def is_exhausted(error: BaseException) -> bool:
    """Return whether an error says that there was no memory left.

    >>> is_exhausted(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    True
    >>> is_exhausted(RuntimeError("shapes do not match"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _WORDS)


def reduced(core: int, block: int, context: int, steps: int) -> int:
    """Return how many frames a segment of `core` frames holds after so many steps of reduction.

    A multiple of `block`. It does not fall below `context` frames: beyond that what a segment
    sees hardly shrinks, and the time goes on growing.

    >>> [reduced(1024, 8, 176, steps) for steps in range(4)]
    [1024, 256, 176, 176]
    """
    least: int = min(core, max(block, context))
    shorter: int = core // _FACTOR**steps // block * block
    return max(least, shorter)
