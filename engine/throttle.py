"""Progress comes many times a second; those who pass it on let through what can still be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

__all__ = ["Throttle"]


class Throttle:
    """Lets news of each thing through at most once in `seconds`; a change of its state at once."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: dict[Hashable, tuple[Hashable, float]] = {}

    def passes(self, thing: Hashable, state: Hashable = None) -> bool:
        """Return whether to pass on what has come of `thing`, which is in `state` now."""
        now = self._clock()
        known, when = self._last.get(thing, (state, float("-inf")))
        if known == state and now - when < self._seconds:
            return False
        self._last[thing] = (state, now)
        return True

    def forget(self, thing: Hashable) -> None:
        """Drop what is remembered of a thing from which nothing more will come."""
        self._last.pop(thing, None)
