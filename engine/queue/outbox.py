"""What the journal has yet to take: kept while the disk refuses it, written as soon as it can be.

Neither a job nor an insertion fails because the disk is full for a while. After a crash, what was
not written is not known: the job is done once more, the clip waits for the user's word.
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
    """Writes into the journal in the order of the calls, now or later; from any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._letters: deque[_Letter] = deque()
        self._lock = threading.Lock()
        self._refused = False

    def record(self, status: Status, *, deaths: int) -> None:
        """Write down what became of a job: see `Journal.record`."""
        self._send(_Letter(status.id, lambda: self._journal.record(status, deaths=deaths), status))

    def attend(self, id: str) -> None:  # noqa: A002
        """Write down that a job's end was attended to: see `Journal.attend`."""
        self._send(_Letter(id, lambda: self._journal.attend(id)))

    def settle(self, id: str, clip: int, outcome: Insertion) -> None:  # noqa: A002
        """Write down how an insertion ended: see `Journal.settle`."""
        self._send(_Letter(id, lambda: self._journal.settle(id, clip, outcome)))

    def status(self, id: str) -> Status | None:  # noqa: A002
        """Return a job's last status if the journal has yet to take it."""
        waiting = [letter.status for letter in list(self._letters) if letter.id == id]
        return next((status for status in reversed(waiting) if status is not None), None)

    def flush(self) -> bool:
        """Write what waits; returns False if the journal still refuses."""
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
