"""The library in the panel: moments that the index names, to be played and opened.

The page names files by their numbers in the index, never by paths: nothing is read that `tweeze
index` has not read before.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.doors.panel.answers import Refused
from bridge.doors.panel.sources import Source, Sources, in_thread
from engine.errors import BadInput
from engine.folders import Folders
from engine.library.searching import Library, Moment, Wanted
from engine.models.base import FloatArray
from engine.sound.audio import AudioInfo, opened, wav_header

__all__ = ["LIMIT", "Finder"]

LIMIT = 200
"""Moments in one answer."""
LONGEST = 20.0
"""Seconds of a moment that are played at most."""
_WORDS = 200  # characters
_DECODING = 15.0  # seconds in which the place of a moment must be reached
_PLACE = 3  # folders above a file that are named


class Finder:
    """Searches the user's index, and opens what it names among the panel's recordings."""

    def __init__(self, folders: Folders, sources: Sources) -> None:
        self._path = folders.index
        self._sources = sources
        self._opening = asyncio.Lock()
        self._playing = asyncio.Semaphore(2)

    def there(self) -> bool:
        """Return whether there is an index; blocking."""
        return self._path.is_file()

    async def find(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return what the page is told of a search; without words, how much there is.

        Raises
        ------
        Refused
            A value of the search cannot be.
        BadInput, Failure
            There is no index, or the disk refuses.

        """
        words = query.get("q", "").strip()
        if len(words) > _WORDS:
            raise Refused(400, f"The search has more than {_WORDS} characters: shorten it.")
        limit = query.get("limit", "50")
        if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= LIMIT):
            raise Refused(400, f"'limit' must be a whole number from 1 to {LIMIT}.")
        sure = _number(query.get("sure", "0.5"), 1.0)
        if sure is None:
            raise Refused(400, "'sure' must be a number from 0 to 1.")
        open_ = {str(source.recording): source.id for source in self._sources}
        return await in_thread(
            lambda: self._found(words, Wanted(sure), int(limit), open_), name="panel-library"
        )

    def _found(
        self, words: str, wanted: Wanted, limit: int, open_: Mapping[str, str]
    ) -> dict[str, Any]:
        with Library(self._path) as library:
            if not words:
                counts = library.counts()
                return {"moments": [], "files": counts.files, "hours": round(counts.hours, 2)}
            try:
                meant = library.meant(words)
            except BadInput:  # no word at all
                meant = None
            if meant is None:
                return {"moments": [], "suggestions": library.suggestions(words)}
            found = library.moments(meant.sounds, wanted, limit + 1)
            return {
                "moments": [_facts(one, open_) for one in found[:limit]],
                "more": len(found) > limit,
                "understood": meant.words,
            }

    async def open(self, number: int) -> Source:
        """Open a file of the index, or find it among the open recordings.

        Raises
        ------
        Refused
            The index names no such file, or it is gone.
        BadInput, Failure
            It cannot be opened; says why.

        """
        async with self._opening:
            path = await in_thread(lambda: self._file(number))
            for source in self._sources:
                if path == source.recording and not source.error:
                    return source
            return await self._sources.add(path, path.stem)

    async def audio(self, number: int, query: Mapping[str, str]) -> bytes:
        """Return a stretch of a file of the index as a float32 WAV file, to be played.

        Raises
        ------
        Refused
            The index names no such file, the stretch cannot be, or lies too far in a long file.
        BadInput, Failure
            It cannot be read; says why.

        """
        start, stop = (_number(query.get(name, ""), 1e7) for name in ("start", "end"))
        if start is None or stop is None or not start < stop:
            raise Refused(416, "'start' and 'end' must be seconds, one after the other.")
        stop = min(stop, start + LONGEST)
        async with self._playing:
            path = await in_thread(lambda: self._file(number))
            return await in_thread(lambda: _wav(path, start, stop), name="panel-moment")

    def _file(self, number: int) -> Path:
        with Library(self._path) as library:
            path = library.file(number)
        if path is None:
            raise Refused(404, "The index names no such file any more: search again.")
        if not path.is_file() or path.is_symlink():
            raise Refused(
                409, f"'{path.name}' is no longer where it was: run 'tweeze index' on its folder."
            )
        return path


def _facts(one: Moment, open_: Mapping[str, str]) -> dict[str, Any]:
    return {
        "file": one.file,
        "number": one.number,
        "name": one.path.name,
        "place": "/".join(one.path.parent.parts[-_PLACE:]).lstrip("/\\"),
        "sound": one.sound,
        "start": one.start,
        "end": one.stop,
        "certainty": one.certainty,
        "open": open_.get(str(one.path), ""),
    }


def _number(text: str, most: float) -> float | None:
    """Return the number from 0 to `most` that a text says, or None."""
    try:
        value = float(text) if len(text) < 32 and text.isascii() else -1.0
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= most else None


def _wav(path: Path, start: float, stop: float) -> bytes:
    deadline = time.monotonic() + _DECODING

    def look() -> None:
        if time.monotonic() > deadline:
            raise Refused(
                409, f"The moment lies too far into '{path.name}' to be played from here: open it."
            )

    with opened(path, follow=False, tick=look) as sound:
        first, last = round(start * sound.rate), round(stop * sound.rate)
        kept: list[FloatArray] = []
        place = 0
        for block in sound.blocks():
            look()
            kept.append(block[:, max(0, first - place) : max(0, last - place)])
            place += block.shape[1]
            if place >= last:
                break
        rate = sound.rate
    samples = np.concatenate(kept, axis=1)
    if not samples.shape[1]:
        raise Refused(416, f"'{path.name}' ends before {start:g} s.")
    header = wav_header(AudioInfo(rate, samples.shape[0], samples.shape[1]))
    return header + np.ascontiguousarray(samples.T).astype("<f4", copy=False).tobytes()
