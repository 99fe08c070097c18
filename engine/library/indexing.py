"""Bringing an index up to date with its folders: what is new is heard, what is known is not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.display import misleads
from engine.library import hearers
from engine.library.finding import Found, LeftOut, find
from engine.library.hearers import Item, News
from engine.library.index import Index

__all__ = ["Pool", "Progress", "Summary", "update"]

_LOOK = 0.25  # seconds between two reports
_PER_FILE = 5.0  # seconds of sound that could be heard in the time that opening a file takes
_SURE = 5.0  # seconds of hearing before which nobody can say how long the rest will take
# Bytes of a second of sound, until files of that ending say otherwise.
_USUAL = {"flac": 90_000.0, "wav": 176_000.0, "aif": 176_000.0, "aiff": 176_000.0}
_COMPRESSED = 20_000.0


class Pool(Protocol):
    """Who listens: processes on this machine, or on those of a cluster."""

    def over(
        self, items: Iterable[Item], every: float = 0.5, idle: Callable[[], None] = lambda: None
    ) -> Iterator[News]:
        """Hear files; see `engine.library.hearers.Hearers.over`."""


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes
    ----------
    looking
        Whether folders are still searched; `files` are those found then.
    files, of_files
        Files that are done, of those to be heard.
    seconds, of_seconds
        Sound that was heard, and about how much there will be; in seconds.
    left
        Seconds that the rest will take, about; None while nobody can know.
    took
        Seconds since hearing began.

    """

    looking: bool
    files: int
    of_files: int = 0
    seconds: float = 0.0
    of_seconds: float = 0.0
    left: float | None = None
    took: float = 0.0


@dataclass
class Summary:
    """What became of the files.

    `heard`, `known` (by their content, moved or copied) and `unchanged` count files; `gone` those
    that are no longer there. `refused` has a sentence for each that could not be heard now,
    `left_out` for what could not be looked at. `seconds` is the sound that was heard, `took` how
    long that took, and `events` how many there are in it.
    """

    heard: int = 0
    known: int = 0
    unchanged: int = 0
    gone: int = 0
    faults: int = 0  # among the unchanged
    events: int = 0
    seconds: float = 0.0
    took: float = 0.0
    refused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def update(
    index: Index,
    folders: Sequence[Path],
    pool: Pool,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    again: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    summary: Summary | None = None,
) -> Summary:
    """Have all files in folders heard that are new or changed.

    What is done is written as soon as it is; whatever ends this, the rest is left for next time.

    Parameters
    ----------
    index
        Of the library.
    folders, include, exclude
        See `engine.library.finding.find`.
    pool
        Who listens.
    again
        Whether files that could not be heard are tried once more, though they are as they were.
    on_progress
        Called a few times a second.
    summary
        What is counted, also where an error ends it; a new one by default.

    Raises
    ------
    BadInput
        A folder is not there.
    Failure
        The disk refuses, or nobody can listen.

    """
    summary = summary if summary is not None else Summary()
    tops = [Path(os.path.realpath(folder)) for folder in folders]
    before = {path for top in tops for path in index.below(top)}
    todo = _looked_for(index, folders, include, exclude, again, before, on_progress, summary)
    gone = [path for path in before if not _is_there(path)]
    index.gone(gone)
    summary.gone = len(gone)
    # The largest first, so that no core waits for one that was begun last.
    todo.sort(key=lambda item: -item.size)
    _heard(index, todo, pool, on_progress, summary)
    return summary


def _looked_for(
    index: Index,
    folders: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    again: bool,
    before: set[str],
    on_progress: Callable[[Progress], None],
    summary: Summary,
) -> list[Item]:
    """Search folders; returns what is to be heard, and takes what is there out of `before`."""
    todo: list[Item] = []
    returned: list[str] = []
    told = 0.0
    on_progress(Progress(looking=True, files=0))
    for number, one in enumerate(find(folders, include=include, exclude=exclude), start=1):
        if time.monotonic() - told > _LOOK:
            told = time.monotonic()
            on_progress(Progress(looking=True, files=number))
        if not isinstance(one, Found):
            if one.fault:
                summary.left_out.append(one.sentence)
                _note(index, one, before)
            continue
        before.discard(str(one.path))
        known = index.known(one.path)
        same = known is not None and (known.size, known.mtime_ns) == (one.size, one.mtime_ns)
        if (
            known is None
            or not same
            or not (known.heard or known.error)
            or (known.error and (known.passing or again))
        ):
            todo.append(Item(one.path, one.size, one.mtime_ns))
        else:
            summary.unchanged += 1
            summary.faults += bool(known.error)
            if known.gone:
                returned.append(str(one.path))
    index.returned(returned)
    return todo


def _note(index: Index, left_out: LeftOut, before: set[str]) -> None:
    """Note a file that cannot even be looked at; folders, and names that no text holds, are not."""
    path = left_out.path
    if path.is_dir() or any(misleads(c) for c in str(path)):
        return
    before.discard(str(path))
    index.refuse(path, 0, 0, left_out.sentence, passing=True)


def _heard(
    index: Index,
    todo: Sequence[Item],
    pool: Pool,
    on_progress: Callable[[Progress], None],
    summary: Summary,
) -> None:
    estimate = _Estimate(todo)
    began = told = time.monotonic()
    files = 0

    def tell(*, now: bool = False) -> None:
        nonlocal told
        summary.took = time.monotonic() - began
        if now or time.monotonic() - told >= _LOOK:
            told = time.monotonic()
            on_progress(estimate.progress(files, summary.took))

    tell(now=True)
    for news in pool.over(todo, _LOOK, tell):
        item = news.item
        if isinstance(news, hearers.Asked):
            news.answer(index.holds(news.digest))
        elif isinstance(news, hearers.Told):
            estimate.told(item, news.seconds)
        elif isinstance(news, hearers.Known):
            index.link(item.path, item.size, item.mtime_ns, news.digest)
            summary.known += 1
        elif isinstance(news, hearers.Came):
            index.add(item.path, item.size, item.mtime_ns, news.content)
            summary.heard += 1
            summary.events += len(news.content.happenings)
            summary.seconds += news.content.seconds
        else:
            index.refuse(item.path, item.size, item.mtime_ns, news.sentence, passing=news.passing)
            summary.refused.append(news.sentence)
        if not isinstance(news, (hearers.Asked, hearers.Told)):
            files += 1
            seconds = news.content.seconds if isinstance(news, hearers.Came) else None
            estimate.done(item, seconds)
        tell()
    tell(now=True)


class _Estimate:
    """How much sound there is, and how long the rest will take, by what was seen so far."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._files = len(items)
        self._bytes: dict[str, float] = {}  # left, by ending
        for item in items:
            self._bytes[_ending(item)] = self._bytes.get(_ending(item), 0.0) + item.size
        self._seen: dict[str, tuple[float, float]] = {}  # bytes and seconds, by ending
        self._seconds = 0.0  # of files that are done
        self._known = 0  # files that took no hearing
        self._running: dict[Path, float] = {}

    def told(self, item: Item, seconds: float) -> None:
        """Take in that so much of a file was heard."""
        self._running[item.path] = seconds

    def done(self, item: Item, seconds: float | None) -> None:
        """Take in that a file is done; `seconds` is None if it was not heard."""
        ending = _ending(item)
        self._running.pop(item.path, None)
        self._bytes[ending] -= item.size
        if seconds is None:
            self._known += 1
            return
        self._seconds += seconds
        size, sound = self._seen.get(ending, (0.0, 0.0))
        self._seen[ending] = size + item.size, sound + seconds

    def progress(self, files: int, took: float) -> Progress:
        """Return how far it is after so many files and seconds."""
        running = sum(self._running.values())
        heard = self._seconds + running
        left = max(0.0, sum(map(self._sound, self._bytes)) - running)
        done = heard + _PER_FILE * files
        rest = left + _PER_FILE * (self._files - files)
        sure = took >= _SURE and done > 0.01 * (done + rest)
        return Progress(
            looking=False,
            files=files,
            of_files=self._files,
            seconds=heard,
            of_seconds=heard + left,
            left=rest * took / done if sure else None,
            took=took,
        )

    def _sound(self, ending: str) -> float:
        size, seconds = self._seen.get(ending, (0.0, 0.0))
        each = size / seconds if seconds else _USUAL.get(ending, _COMPRESSED)
        return self._bytes[ending] / max(each, 1.0)


def _ending(item: Item) -> str:
    return item.path.suffix.lower().removeprefix(".")


def _is_there(path: str) -> bool:
    """Whether a file is there; one that cannot be looked at is not said to be gone."""
    try:
        os.stat(path)  # noqa: PTH116 - a string from the index, many of them
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
