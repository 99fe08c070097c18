"""Waiting with a limit, in a way that a cancelled task is really cancelled.

`asyncio.wait_for` loses a cancellation that comes in the same moment as what it waits for
(python/cpython#86296, mended in Python 3.12): a process asked to end would go on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["within"]

_T = TypeVar("_T")


async def within(seconds: float | None, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what `work` returns; asyncio.TimeoutError if that takes longer than `seconds`."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        task.cancel()
