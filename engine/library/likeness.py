"""Searching an index by a sound instead of words: which moments lie nearest to it.

All vectors of an index lie side by side in a file of their own beside it, which is mapped into
memory and gone through whole: a million take some 40 ms, and no approximation. The file is only a
copy of what the index holds; it is brought up to date, or made anew, before a search.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from engine.advice.examples import Example, placed
from engine.errors import BadInput, Failure
from engine.files import read_small, replace_text
from engine.library.content import DIMENSIONS
from engine.library.searching import Library, Moment, Wanted
from engine.library.tables import sentences
from engine.models.base import FloatArray
from engine.queue.lock import ProcessLock

__all__ = ["Vectors", "alike", "like", "vector_of"]

_BLOCK = 1024  # vectors that are compared at a time: as float32 they stay in the processor's cache
_POOL = 256  # nearest vectors that are looked at first, and eight times as many each time after
_ROW = np.dtype([("content", "<i8"), ("number", "<i4"), ("length", "<f4")])
_LOOKED_AT = 20_000
_BITS = 32  # of a moment's number in its content
_FETCHED = 512  # contents whose vectors are read at a time
_FORM = 1


@dataclass(frozen=True, eq=False)
class Vectors:
    """All vectors of an index.

    Attributes
    ----------
    rows
        Whose they are: `content`, its `number` there, and the vector's `length`.
    places
        `(rows, 128)`, int8.

    """

    rows: npt.NDArray[np.void]
    places: npt.NDArray[np.int8]

    @classmethod
    def of(cls, library: Library) -> Vectors:
        """Return the vectors of an index, from the file beside it once that is up to date.

        Where that file cannot be written, they are read from the index itself, which takes longer.
        """
        store = _Store(library)
        lock = ProcessLock(store.lock)
        try:
            if lock.take():
                try:
                    return store.brought_up_to_date()
                finally:
                    lock.drop()
        except (OSError, Failure):  # a full disk, a folder of somebody else's
            pass
        return store.in_memory()

    def likeness(self, vector: FloatArray) -> FloatArray:
        """Return the cosine of each to a vector `(128,)`; -1 for silence."""
        found = np.empty(len(self.rows), np.float32)
        block = np.empty((_BLOCK, DIMENSIONS), np.float32)
        for start in range(0, len(found), _BLOCK):
            part = self.places[start : start + _BLOCK]
            np.copyto(block[: len(part)], part)
            np.dot(block[: len(part)], vector, out=found[start : start + len(part)])
        lengths = self.rows["length"]
        cosines: FloatArray = np.where(lengths > 0, found / np.maximum(lengths, 1e-9), -1)
        return cosines.astype(np.float32, copy=False)


def vector_of(text: str, library: Library, tick: Callable[[], None] = lambda: None) -> FloatArray:
    """Return where a sound lies among sounds: `FILE`, or `FILE@START-END` in seconds.

    A file that is in the index as it is now needs no listener: what is known of it serves.

    Raises
    ------
    BadInput
        There is no such file or stretch, or it is silent.
    Failure
        The listener is damaged.

    """
    example = Example.from_text(text)
    path = Path(os.path.realpath(example.path))
    if not path.is_file():
        raise BadInput(
            f"There is no file {example.path}: name an example as --like FILE or FILE@START-END."
        )
    content = library.content_of(path) if example.stop is None else None
    if content is not None:
        vector = _whole(library, content)
        if vector is not None:
            return vector
    from engine.library.hearing import listener_mark
    from engine.models import ears

    _check_listener(library, listener_mark())
    return placed(replace(example, path=path), ears.load(), tick)


def alike(
    library: Library,
    example: str,
    wanted: Wanted,
    limit: int,
    *,
    sounds: Sequence[int] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[Moment]:
    """Return the moments that sound most like an example, without the example itself.

    Parameters
    ----------
    library
        The index.
    example
        `FILE`, or `FILE@START-END` in seconds.
    wanted, limit, sounds
        See `like`.
    tick
        Called a few times a second while the example is listened to; may raise.

    Raises
    ------
    BadInput, Failure
        As `vector_of`.

    """
    vector = vector_of(example, library, tick)
    shown = Example.from_text(example)
    stop = math.inf if shown.stop is None else shown.stop
    but = Path(os.path.realpath(shown.path)), shown.start, stop
    return like(library, Vectors.of(library), vector, wanted, limit, sounds=sounds, but=but)


def like(
    library: Library,
    vectors: Vectors,
    vector: FloatArray,
    wanted: Wanted,
    limit: int,
    *,
    sounds: Sequence[int] | None = None,
    but: tuple[Path, float, float] | None = None,
) -> list[Moment]:
    """Return the moments that sound most like a vector, the nearest first.

    Of moments of one file that overlap, the file as a whole among them, the nearest one counts.
    Of those in the right files and of the right sounds, no more than the 20,000 nearest are looked
    at.

    Parameters
    ----------
    library
        The index.
    vectors
        All of it.
    vector
        `(128,)`, of length 1.
    wanted, limit
        What counts, and how many at most. How sure it is counts only for moments that have a name.
    sounds
        Numbers of sounds; only those count. None for all, and files as a whole.
    but
        A stretch of a file that is left out, in seconds: the example itself.

    """
    likeness = vectors.likeness(vector)
    if wanted.folder is not None or wanted.named:
        inside = np.fromiter(library.contents(wanted), np.int64)
        likeness[~np.isin(vectors.rows["content"], inside)] = -1
    if sounds is not None:
        keys = [content << _BITS | number for content, number in library.numbers(sounds)]
        own = vectors.rows["content"] << _BITS | vectors.rows["number"]
        likeness[~np.isin(own, np.array(keys, np.int64))] = -1
    found: list[Moment] = []
    spans: dict[int, list[tuple[float, float]]] = {}
    for place in islice(_nearest(likeness), _LOOKED_AT):
        row = vectors.rows[place]
        moment = library.of(int(row["content"]), int(row["number"]), wanted)
        if moment is None or (but is not None and _is(moment, but)):
            continue
        taken = spans.setdefault(moment.file, [])
        if any(moment.start < stop and start < moment.stop for start, stop in taken):
            continue
        taken.append((moment.start, moment.stop))
        found.append(replace(moment, likeness=round(float(likeness[place]), 4)))
        if len(found) == limit:
            break
    return found


def _nearest(likeness: FloatArray) -> Iterator[int]:
    """Yield places by their likeness, the largest first; no more are sorted than are needed."""
    done, pool = 0, min(_POOL, len(likeness))
    while done < len(likeness):
        best = np.argpartition(-likeness, pool - 1)[:pool]
        best = best[np.lexsort((best, -likeness[best]))]
        for place in best[done:].tolist():
            if likeness[place] <= -1:  # left out, as all that follow
                return
            yield place
        done, pool = pool, min(8 * pool, len(likeness))


def _is(moment: Moment, but: tuple[Path, float, float]) -> bool:
    path, start, stop = but
    return path in (moment.path, *moment.copies) and moment.start < stop and start < moment.stop


def _whole(library: Library, content: int) -> FloatArray | None:
    """Return the vector of a content as a whole; None if it is silent."""
    with sentences(library.path):
        found = library.database.execute(
            "SELECT data FROM vectors JOIN contents ON contents.id = content WHERE content = ? "
            "AND listener = (SELECT value FROM about WHERE name = 'listener')",
            (content,),
        ).fetchone()
    if found is None:
        return None
    vector = np.frombuffer(found[0], np.int8, DIMENSIONS).astype(np.float32)
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else None


def _check_listener(library: Library, mark: str) -> None:
    with sentences(library.path):
        found = library.database.execute(
            "SELECT value FROM about WHERE name = 'listener'"
        ).fetchone()
    if found is None or found[0] != mark:
        raise BadInput(
            f"The index {library.path} was made with another version of the listener: run 'tweeze "
            "index' again, then search by an example."
        )


class _Store:
    """The files beside an index that hold its vectors: numbers, whose they are, and how many."""

    def __init__(self, library: Library) -> None:
        self._library = library
        name = library.path.name
        self.lock = library.path.with_name(f"{name}.vectors.lock")
        self._note = library.path.with_name(f"{name}.vectors.json")
        self._rows = library.path.with_name(f"{name}.vectors.rows")
        self._places = library.path.with_name(f"{name}.vectors")
        with sentences(library.path):
            about = dict(library.database.execute("SELECT name, value FROM about").fetchall())
            (self._last, self._live) = library.database.execute(
                "SELECT coalesce(max(id), 0), count(*) FROM contents"
            ).fetchone()
        self._listener = about.get("listener", "")
        # Numbers of contents are never used again, so that what was added is what is newer.
        self._mark = [_FORM, about["identity"], self._listener]

    def brought_up_to_date(self) -> Vectors:
        """Add what is new in the index, or begin anew where most of the file is out of date."""
        mark, last, count, contents = self._noted()
        if mark != self._mark or contents > 2 * self._live + 1000:
            last, count, contents = 0, 0, 0
        if last < self._last or mark != self._mark:
            with (
                _at(self._places, count * DIMENSIONS) as places,
                _at(self._rows, count * _ROW.itemsize) as rows,
            ):
                for some, vectors in self._after(last):
                    rows.write(some.tobytes())
                    places.write(vectors.tobytes())
                    count += len(some)
                    contents += len(np.unique(some["content"]))
            said = {"mark": self._mark, "last": self._last, "count": count, "contents": contents}
            replace_text(self._note, json.dumps(said), mode=0o600)
        if not count:
            return _joined([])
        rows_ = np.memmap(self._rows, _ROW, "r", shape=(count,))
        return Vectors(rows_, np.memmap(self._places, np.int8, "r", shape=(count, DIMENSIONS)))

    def in_memory(self) -> Vectors:
        """Read all of it from the index."""
        return _joined(list(self._after(0)))

    def _noted(self) -> tuple[object, int, int, int]:
        """Return what the files hold; nothing where they are damaged or of another index."""
        try:
            said = json.loads(read_small(self._note))
            count, contents = int(said["count"]), int(said["contents"])
            whole = (
                self._places.stat().st_size >= count * DIMENSIONS
                and self._rows.stat().st_size >= count * _ROW.itemsize
            )
        except (OSError, ValueError, TypeError, KeyError, BadInput):
            return None, 0, 0, 0
        return (said["mark"], int(said["last"]), count, contents) if whole else (None, 0, 0, 0)

    def _after(self, last: int) -> Iterator[tuple[npt.NDArray[np.void], npt.NDArray[np.int8]]]:
        """Yield the vectors of contents behind one, as the index had them when it was opened."""
        with sentences(self._library.path):
            cursor = self._library.database.execute(
                "SELECT content, data FROM vectors JOIN contents ON contents.id = content "
                "WHERE content > ? AND content <= ? AND listener = ? ORDER BY content",
                (last, self._last, self._listener),
            )
            while some := cursor.fetchmany(_FETCHED):
                counts = [len(data) // DIMENSIONS for _, data in some]
                joined = b"".join(data for _, data in some)
                vectors = np.frombuffer(joined, np.int8).reshape(-1, DIMENSIONS)
                rows = np.empty(len(vectors), _ROW)
                rows["content"] = np.repeat([content for content, _ in some], counts)
                rows["number"] = np.concatenate([np.arange(count) for count in counts])
                rows["length"] = np.linalg.norm(vectors.astype(np.float32), axis=1)
                yield rows, vectors


def _joined(parts: list[tuple[npt.NDArray[np.void], npt.NDArray[np.int8]]]) -> Vectors:
    rows = np.concatenate([np.empty(0, _ROW), *(rows for rows, _ in parts)])
    empty = np.empty((0, DIMENSIONS), np.int8)
    return Vectors(rows, np.concatenate([empty, *(vectors for _, vectors in parts)]))


@contextlib.contextmanager
def _at(path: Path, size: int) -> Iterator[BinaryIO]:
    """Open a file of one's own, cut off behind so many bytes, to write on there."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        file.truncate(size)
        file.seek(size)
        yield file
