"""How far a batch is, and how long it will still take: from what was done, never from a guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.library.items import Item

__all__ = ["Estimate"]


@dataclass
class Estimate:
    """Counts files, hours of audio and time; says what is left.

    How long a recording lasts is known once it is done. Of the others that is estimated from their
    bytes, by what a second takes in files with the same ending; without any such file, by all.

    Attributes
    ----------
    files, done
        How many items there are, and how many are finished, well or not.
    seconds
        Of audio that was separated.

    """

    files: int = 0
    done: int = 0
    seconds: float = 0.0
    _left: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lasted: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @classmethod
    def of(cls, items: Iterable[Item]) -> Estimate:
        """Return the estimate of a batch that has just begun."""
        made = cls()
        for item in items:
            made.files += 1
            made._left[_ending(item)] += _size(item)
        return made

    def add(self, item: Item, seconds: float) -> None:
        """Count an item that is finished; `seconds` of audio, 0 where it failed."""
        self.done += 1
        self.seconds += seconds
        ending = _ending(item)
        self._left[ending] -= _size(item)
        if seconds:
            self._bytes[ending] += _size(item)
            self._lasted[ending] += seconds

    @property
    def left(self) -> float | None:
        """Seconds of audio that are probably left; None as long as nothing is known."""
        if self.done == self.files:
            return 0.0
        size, lasted = sum(self._bytes.values()), sum(self._lasted.values())
        if not size:
            return None
        total = 0.0
        for ending, bytes_ in self._left.items():
            own = self._bytes.get(ending)
            rate = self._lasted[ending] / own if own else lasted / size
            total += max(0.0, bytes_) * rate
        return total

    def remaining(self, elapsed: float) -> float | None:
        """Seconds that the rest will probably take, `elapsed` after work began; None early on.

        Each file takes some time, however short its sound is.
        """
        left = self.left
        if left is None or not self.seconds or elapsed < _EARLY:
            return None
        done = self.seconds + _PER_FILE * self.done
        return (left + _PER_FILE * (self.files - self.done)) * elapsed / done


def _ending(item: Item) -> str:
    return item.found.path.suffix.casefold()


def _size(item: Item) -> float:
    """Return the bytes that an item is worth; of a stretch nobody knows more than its length."""
    cut = item.cut
    if cut is None or cut.stop is None:
        return float(max(1, item.found.size))
    return max(1.0, (cut.stop - cut.start) * _BYTES_PER_SECOND)


_BYTES_PER_SECOND = 176_400.0  # of a compact disc
_PER_FILE = 5.0  # seconds of audio that are separated in the time that a file takes besides
_EARLY = 5.0  # seconds in which nobody can say how long the rest takes
