"""Folders that recordings come into: which of them are whole, so that they can be separated."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.library.finding import Found, LeftOut

__all__ = ["Settling", "is_being_written"]

_UNFINISHED = 30.0  # seconds that a file which says that it is unfinished must stay as it is
_ENDLESS = 0xFFFFFFFF  # what recorders write for a length that they do not know yet


@dataclass
class _Seen:
    stamp: tuple[int, int]
    since: float
    told: bool = False


class Settling:
    """Says which files have come to rest: nobody writes to them any more.

    A file is whole when neither its size nor its time has changed for `seconds`, and no process of
    this user holds it open for writing. A WAV or AIFF file whose header is still that of a
    recording that goes on is waited for longer, as a recorder that crashed leaves such files, too.
    """

    def __init__(
        self,
        seconds: float = 5.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        written: Callable[[Path], bool] | None = None,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._written = written or is_being_written
        self._seen: dict[Path, _Seen] = {}

    def whole(self, found: Iterable[Found | LeftOut]) -> Iterator[Found | LeftOut]:
        """Yield those of a folder's files that are whole, each once as long as it does not change.

        Called again and again with all files that there are.
        """
        now = self._clock()
        there = set()
        for one in found:
            there.add(one.path)
            stamp = (one.size, one.mtime_ns) if isinstance(one, Found) else (-1, -1)
            seen = self._seen.get(one.path)
            if seen is None or seen.stamp != stamp:
                seen = self._seen[one.path] = _Seen(stamp, now)
            if seen.told or now - seen.since < self._needed(one):
                continue
            if isinstance(one, Found) and (not one.size or self._written(one.path)):
                continue
            seen.told = True
            yield one
        for path in self._seen.keys() - there:
            del self._seen[path]

    def again(self, path: Path) -> None:
        """Yield a file once more, though it has not changed."""
        if path in self._seen:
            self._seen[path].told = False

    def _needed(self, one: Found | LeftOut) -> float:
        if isinstance(one, Found) and _says_unfinished(one.path, one.size):
            return max(self._seconds, _UNFINISHED)
        return self._seconds


def is_being_written(path: Path) -> bool:
    """Return whether a process, of those that this user may look at, has a file open for writing.

    On Windows such a file can often not be opened by others at all, which counts, too.
    """
    try:
        with path.open("rb"):
            pass
    except OSError:
        return True
    name = str(path)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            for file in process.open_files():
                if file.path == name and getattr(file, "mode", "r").replace("b", "") != "r":
                    return True
    return False


def _says_unfinished(path: Path, size: int) -> bool:
    """Return whether a file's header is that of a recording that goes on.

    Recorders write the lengths last: until then RIFF's (or FORM's) and that of its samples are 0 or
    as large as can be, or larger than the file. Formats: Microsoft's "Multiple channel audio data
    and WAVE files", Apple's "Audio Interchange File Format".
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[:4] not in (b"RIFF", b"FORM", b"RF64") or len(head) < 12:
                return False
            order = ">" if head[:4] == b"FORM" else "<"
            (length,) = struct.unpack(f"{order}I", head[4:8])
            if head[:4] != b"RF64" and (length in (0, _ENDLESS) or length + 8 > size):
                return True
            while len(chunk := file.read(8)) == 8:
                (length,) = struct.unpack(f"{order}I", chunk[4:])
                if chunk[:4] in (b"data", b"SSND"):
                    return head[:4] != b"RF64" and (
                        length in (0, _ENDLESS) or file.tell() + length > size
                    )
                file.seek(length + length % 2, 1)
    except OSError:
        return False
    return False
