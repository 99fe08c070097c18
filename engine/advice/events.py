"""From a listener's scores, window by window, to the sounds that a musician is told of.

A sound begins with a higher probability and ends with a lower one, and takes more than a single
window unless that one is sure. Of a sound and what it is a kind of ("dog barking", "dog",
"animal") the most specific one is named, unless it is much less likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.models.base import FloatArray, HearingGrid
from engine.status import Event, Heard
from engine.taxonomy.ontology import ancestors, heard_as, load_ontology

__all__ = ["EVENTS", "ON", "Scores", "sounds"]

ON = 0.2
"""Probability from which a sound is heard."""
_OFF = 0.1  # probability down to which it goes on
_ALONE = 0.4  # probability from which a single window counts
_NEARLY = 0.5  # share of a probability from which another is nearly as high
_NAMED = 20  # sounds at most
_AT_LEAST = 5  # sounds, where others are possible; where none is likely, whatever they are
_POSSIBLE = 0.05  # probability from which a sound is worth naming beside likely ones
_CLEAREST = 3.0  # seconds; a sound stands before another that is less likely over its clearest ones
EVENTS = 500
"""Events of one sound at most; of more the nearest are taken together."""


class Scores:
    """What a listener says of a recording, kept in little memory: only what may matter.

    Probabilities below the one at which an event ends are counted as 0, but for the maximum.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.windows = 0
        self.best = np.zeros(len(self.labels), np.float32)
        self._kept: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]] = []

    def add(self, probabilities: FloatArray) -> None:
        """Take the scores of the next windows, `(windows, labels)`."""
        if len(probabilities):
            self.best = np.maximum(self.best, probabilities.max(axis=0))
        window, label = np.nonzero(probabilities >= _OFF)
        self._kept.append((window + self.windows, label, probabilities[window, label]))
        self.windows += len(probabilities)

    def rows(self, labels: Iterable[int]) -> FloatArray:
        """Return the likeliest of some labels in each window, `(windows,)`."""
        wanted = np.zeros(len(self.labels), bool)
        wanted[list(labels)] = True
        row = np.zeros(self.windows, np.float32)
        for window, label, probability in self._kept:
            chosen = wanted[label]
            np.maximum.at(row, window[chosen], probability[chosen])
        return row


@dataclass(frozen=True, eq=False)
class _Sound:
    """A name, the labels that it stands for, and where it is heard."""

    name: str
    label: str  # the likeliest one
    labels: frozenset[str]
    row: FloatArray  # (windows,)
    spans: tuple[tuple[int, int], ...]  # windows [start, stop)
    above: frozenset[str]  # labels that it is a kind of


def sounds(scores: Scores, grid: HearingGrid, seconds: float) -> tuple[Heard, ...]:
    """Name the sounds of a recording, first those that are likely over three seconds.

    Named are those that are heard somewhere, 20 at most, without those that another one explains
    which is a kind of them and as likely, or nearly so. Where they are fewer than five, others
    that are possible follow, without events; where nothing is heard, the five likeliest.

    Parameters
    ----------
    scores
        Of all windows.
    grid
        Where they lie.
    seconds
        Length of the recording; no event goes on behind it.

    """
    named = _named(scores.labels)
    best = {name: float(scores.best[labels].max()) for name, labels in named.items()}
    found = [
        sound
        for name, labels in named.items()
        if best[name] >= ON and (sound := _sound(name, labels, scores)).spans
    ]
    some = max(1, round(_CLEAREST * grid.sample_rate / grid.hop))
    shown: list[tuple[float, Heard]] = []
    for sound in found:
        spans = [span for span in sound.spans if not _explained(sound, span, found)]
        if spans:
            events = _events(sound, spans, grid, scores.windows, seconds)
            peak = max(event.probability for event in events)
            row = np.concatenate([sound.row[start:stop] for start, stop in spans])
            lasting = np.sort(row)[-some:].sum() / min(some, scores.windows)
            shown.append((float(lasting), Heard(sound.name, peak, events, sound.label)))
    shown.sort(key=lambda pair: (-pair[0], pair[1].name))
    heard = tuple(one for _, one in shown[:_NAMED])
    return heard + _possible(scores, named, best, heard)


@cache
def _named(labels: tuple[str, ...]) -> Mapping[str, list[int]]:
    """Return the numbers of the labels by what a musician calls them."""
    named: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        name = heard_as(label)
        if name:
            named.setdefault(name, []).append(number)
    return named


def _sound(name: str, labels: list[int], scores: Scores) -> _Sound:
    row = scores.rows(labels)
    chief = max(labels, key=lambda label: scores.best[label])
    return _Sound(
        name,
        scores.labels[chief],
        frozenset(scores.labels[label] for label in labels),
        row,
        tuple(_spans(row)),
        _above_each(scores.labels)[name],
    )


@cache
def _above_each(labels: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Return what each name's labels are kinds of: the same for every recording."""
    return {name: _above(numbers, labels) for name, numbers in _named(labels).items()}


def _above(numbers: Iterable[int], labels: Sequence[str]) -> frozenset[str]:
    """Return what some labels are kinds of, without themselves."""
    own = {labels[number] for number in numbers}
    return frozenset(above for label in own for above in _ancestors(label)) - own


@cache
def _ancestors(label: str) -> frozenset[str]:
    return ancestors(label, _ontology())


_ontology = cache(load_ontology)


def _spans(row: FloatArray) -> list[tuple[int, int]]:
    """Return the windows `[start, stop)` in which a sound is on; a gap of one window is none."""
    likely = row >= _OFF
    if len(row) > 2:
        likely[1:-1] |= likely[:-2] & likely[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], likely, [False]])))
    spans = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        # what lies at an end of the recording is in one window only, however clear it is
        several = stop - start > 1 or start == 0 or stop == len(row)
        if row[start:stop].max() >= (ON if several else _ALONE):
            spans.append((start, stop))
    return spans


def _explained(sound: _Sound, span: tuple[int, int], found: Sequence[_Sound]) -> bool:
    """Whether kinds of a sound that are as likely, or nearly so, account for a stretch of it.

    They do if that holds for half of its windows, or for the clearest one.
    """
    start, stop = span
    kinds = [other.row[start:stop] for other in found if sound.labels & other.above]
    if not kinds:
        return False
    row = sound.row[start:stop]
    near = np.max(kinds, axis=0) >= np.maximum(_NEARLY * row, _OFF)
    return bool(near[int(np.argmax(row))] or near.mean() >= 0.5)


def _events(
    sound: _Sound,
    spans: Sequence[tuple[int, int]],
    grid: HearingGrid,
    windows: int,
    seconds: float,
) -> tuple[Event, ...]:
    """Return spans in seconds: from half a hop before its first window's centre to half one after.

    The first window counts from the recording's start, the last one to its end.
    """
    hop = grid.hop / grid.sample_rate
    early = (grid.window - grid.hop) / 2 / grid.sample_rate
    events = []
    for first, last in _together(spans):
        start = early + first * hop if first else 0.0
        stop = early + last * hop if last < windows else seconds
        peak = float(sound.row[first:last].max())
        events.append(
            Event(round(start, 2), round(max(start, min(stop, seconds)), 2), round(peak, 2))
        )
    return tuple(events)


def _together(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Take the nearest spans together where there are too many."""
    kept = list(spans)
    if len(kept) > EVENTS:
        gaps = np.array([after[0] - before[1] for before, after in pairwise(kept)])
        parted = np.sort(np.argsort(-gaps, kind="stable")[: EVENTS - 1])
        starts = [kept[0][0], *(kept[gap + 1][0] for gap in parted)]
        stops = [*(kept[gap][1] for gap in parted), kept[-1][1]]
        kept = list(zip(starts, stops, strict=True))
    return kept


def _possible(
    scores: Scores,
    named: Mapping[str, list[int]],
    best: Mapping[str, float],
    heard: Sequence[Heard],
) -> tuple[Heard, ...]:
    """Return what may be there beside what is heard, so that at least five sounds are named.

    Nothing that is above what is named, nor anything of which a kind is nearly as likely: after
    "animal" a dog is worth a try, but not the other way round.
    """
    above = _above_each(scores.labels)
    own = {name: {scores.labels[number] for number in named[name]} for name in named}
    taken = [one.name for one in heard]
    shown: list[Heard] = []
    for name in sorted(best, key=lambda name: -best[name]):
        if len(taken) >= _AT_LEAST or (heard and best[name] < _POSSIBLE):
            break
        if name in taken or any(own[name] & above[other] for other in taken):
            continue
        if any(own[name] & above[o] and best[o] >= _NEARLY * best[name] for o in best if o != name):
            continue
        chief = max(named[name], key=lambda number: scores.best[number])
        taken.append(name)
        shown.append(Heard(name, round(best[name], 2), (), scores.labels[chief]))
    return tuple(shown)
