"""Waiting with a limit, for what may never end: a file system that hangs, a process, a host.

`asyncio.wait_for` loses a cancellation that comes in the same moment as what it waits for
(python/cpython#86296, mended in Python 3.12): a process asked to end would go on for ever. And
`asyncio.to_thread` has a pool of few threads, which some calls that hang use up for all, and whose
end the process's own end waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["aside", "briefly", "within"]

_T = TypeVar("_T")
_BRIEF = 0.25  # seconds


async def within(seconds: float | None, work: Awaitable[_T]) -> _T:
    """Return what `work` returns; asyncio.TimeoutError if that takes longer than `seconds`."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        task.cancel()


def aside(work: Callable[[], _T], *, name: str) -> asyncio.Future[_T]:
    """Have `work` done in a thread of its own, and return what will be its outcome.

    Whoever cancels the future no longer waits for the thread; it goes on by itself, and neither
    the loop's end nor the process's waits for it.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def tell(said: Callable[[Any], None], what: object) -> None:
        if not outcome.done():
            said(what)

    def run() -> None:
        said: Callable[[Any], None] = outcome.set_result
        what: object
        try:
            what = work()
        except BaseException as error:
            said, what = outcome.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(tell, said, what)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome


def briefly(work: Callable[[], object], *, name: str) -> None:
    """Have `work` done in a thread of its own, and wait for that only a moment.

    For what as a rule is done at once, and whose outcome nobody needs.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(_BRIEF)
