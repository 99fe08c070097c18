"""The one thread that talks with Audacity: work is queued to it, and done in order.

A cancelled wait does not end the work that it waits for, so whoever gave the turn to the next at
that moment would have two threads drive one Audacity, in between each other's commands. Here the
thread has the turn for good. Work that nobody wants any more is passed over, or asked to stop where
it leaves Audacity as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from audacity.pipe import Busy
from engine.errors import Cancelled, HostError

__all__ = ["Abandoned", "PipeThread"]

Abandoned = Callable[[], bool]
"""Called by work where it may stop; returns whether nobody wants the work any more."""

_T = TypeVar("_T")
_PATIENCE = 600.0  # seconds; a single command may take 300


class _Order:
    """A piece of work and its outcome."""

    def __init__(self, work: Callable[[Abandoned], Any]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Any] = self._loop.create_future()
        self.unwanted = threading.Event()
        self.begun = False

    def carry_out(self) -> None:
        self.begun = True
        try:
            if self.unwanted.is_set():
                raise Cancelled("It was cancelled before its turn came.")
            result = self._work(self.unwanted.is_set)
        except BaseException as error:
            self._tell(self.outcome.set_exception, error)
        else:
            self._tell(self.outcome.set_result, result)

    def _tell(self, said: Callable[[Any], None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(said, what)


class PipeThread:
    """Does work one after the other; lives in one event loop. Starts with the first work.

    Parameters
    ----------
    patience
        Seconds that work may wait for its turn, and then take.

    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._queue: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._orders: set[_Order] = set()  # whose outcome is not known yet
        self._thread: threading.Thread | None = None
        self._at_rest = False

    async def do(
        self,
        work: Callable[[Abandoned], _T],
        *,
        discard: Callable[[_T], object] = lambda result: None,
    ) -> _T:
        """Have the thread do `work`, and return what it returns.

        Whoever is cancelled in here need not care for the thread: the work is passed over if its
        turn has not come, else it goes on until it ends or notices. What it returns all the same
        goes to `discard`.

        Raises
        ------
        HostError
            The turn does not come, or the work does not end; or the engine ends.

        """
        if self._at_rest:
            raise HostError("The engine is about to end: try again when it has started anew.")
        order = _Order(work)
        self._orders.add(order)
        order.outcome.add_done_callback(lambda _: self._orders.discard(order))
        self._queue.put(order)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audacity-pipe", daemon=True)
            self._thread.start()
        try:
            while not order.outcome.done():
                begun = order.begun
                await asyncio.wait({order.outcome}, timeout=self._patience)
                if order.begun is begun and not order.outcome.done():
                    raise Busy(
                        f"Audacity has been busy with Tweeze for {self._patience:.0f} s: look for "
                        "an open dialog in Audacity, close it, and try again."
                    )
            result: _T = order.outcome.result()
            return result
        except BaseException:
            order.unwanted.set()
            order.outcome.add_done_callback(lambda outcome: _leave(outcome, discard))
            raise

    async def rest(self, seconds: float) -> None:
        """Take no more work, have the present one stop where it can, and wait for that.

        Returns after `seconds` whatever happens: an Audacity that does not answer is left alone.
        """
        self._at_rest = True
        for order in self._orders:
            order.unwanted.set()
        if self._orders:
            await asyncio.wait({order.outcome for order in self._orders}, timeout=seconds)

    def _run(self) -> None:
        while True:
            self._queue.get().carry_out()


def _leave(outcome: asyncio.Future[_T], discard: Callable[[_T], object]) -> None:
    if not outcome.cancelled() and outcome.exception() is None:
        discard(outcome.result())
