"""Journal entries that wait while the disk refuses them, written as soon as it does not.

Neither a job nor an insertion fails because the disk is full for a while. A crash loses entries
that still wait: then the job runs once more, and the clip waits until the user asks for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import TweezeError
from engine.queue.journal import Insertion, Journal
from engine.status import Status

__all__ = ["Outbox"]

_LOG = logging.getLogger("tweeze.journal")


@dataclass(frozen=True, eq=False)
class _Letter:
    id: str
    write: Callable[[], None]
    status: Status | None = None


class Outbox:
    """Writes to the journal in the order of the calls, now or later; from any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._letters: deque[_Letter] = deque()
        self._lock = threading.Lock()
        self._refused = False

    def record(self, status: Status, *, deaths: int) -> None:
        """Record the status of a job: see `Journal.record`."""
        self._send(_Letter(status.id, lambda: self._journal.record(status, deaths=deaths), status))

    def attend(self, id: str) -> None:  # noqa: A002
        """Record that a job's result was handled: see `Journal.attend`."""
        self._send(_Letter(id, lambda: self._journal.attend(id)))

    def settle(self, id: str, clip: int, outcome: Insertion) -> None:  # noqa: A002
        """Record how an insertion ended: see `Journal.settle`."""
        self._send(_Letter(id, lambda: self._journal.settle(id, clip, outcome)))

    def status(self, id: str) -> Status | None:  # noqa: A002
        """Return a job's last status if it still waits to be written."""
        waiting = [letter.status for letter in list(self._letters) if letter.id == id]
        return next((status for status in reversed(waiting) if status is not None), None)

    def flush(self) -> bool:
        """Write the waiting entries; returns False if the journal still refuses."""
        with self._lock:
            while self._letters:
                try:
                    self._letters[0].write()
                except TweezeError as error:
                    if not self._refused:
                        _LOG.warning("What became of jobs is written down later: %s", error)
                    self._refused = True
                    return False
                self._letters.popleft()
            if self._refused:
                _LOG.info("The journal has taken what it could not take before.")
            self._refused = False
            return True

    def _send(self, letter: _Letter) -> None:
        self._letters.append(letter)
        self.flush()
