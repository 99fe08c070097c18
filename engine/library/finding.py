"""The recordings in folders: which files they are, and why others were left out."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from engine.display import misleads
from engine.errors import BadInput

__all__ = ["ENDINGS", "JOURNAL", "Found", "LeftOut", "find"]

_ENDINGS = """
wav wave w64 rf64 bwf aif aiff aifc au snd caf flac ogg oga opus mp3 mp2 m4a m4b aac wma wv
ape mka mp4 mov mkv webm avi amr ac3 voc mpc tta
"""
ENDINGS = frozenset(_ENDINGS.split())
"""Endings of the files that are taken for recordings where nobody says which are."""
JOURNAL = ".tweeze-batch.jsonl"
"""A file that a folder with the clips of a batch holds: what it did so far."""


@dataclass(frozen=True)
class Found:
    """A file that is to be read.

    Attributes
    ----------
    path
        Its absolute path, free of symbolic links: what is read.
    place
        Where it belongs below the output: its path below the folder that was searched, behind that
        folder's name if several were; as the user wrote it, with links.
    size, mtime_ns
        Bytes, and nanoseconds since the epoch.

    """

    path: Path
    place: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class LeftOut:
    """Something that was left out, and a sentence why; `fault` if the user should look at it."""

    path: Path
    place: Path
    sentence: str
    fault: bool = True


def find(
    folders: Sequence[Path],
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    apart: Collection[Path] = (),
) -> Iterator[Found | LeftOut]:
    """Yield the recordings in folders, in the order of their names, each file once.

    Hidden files and folders are passed over. Links are followed; a folder that was searched already
    is left out the second time, so that links in a circle end. So is one with the clips of a batch,
    unless it is named itself.

    Parameters
    ----------
    folders
        Folders, and files among them, which are taken whatever they are called.
    recursive
        Whether folders in folders are searched, too.
    include, exclude
        Patterns of file names, as the shell has them (`*.wav`), upper and lower case alike; a
        pattern with a `/` is held against the path below the folder. Without `include` files with
        one of `ENDINGS` count.
    apart
        Folders that are not searched: where the results go.

    Raises
    ------
    BadInput
        One of `folders` is not there, or is one of those `apart`.

    """
    search = _Search(recursive, tuple(include), tuple(exclude), apart)
    several = len(folders) > 1
    names: dict[str, int] = {}
    for one in folders:
        if not one.exists():
            raise BadInput(f"There is no folder {one}: check the path.")
        if _mark(one) in search.apart:
            raise BadInput(
                f"The results would go to {one} itself, among the recordings: name another folder "
                "with --out."
            )
        top = one.absolute()
        name = Path(os.path.normpath(top)).name or "root"
        names[name.casefold()] = count = names.get(name.casefold(), 0) + 1
        below = Path(name if count == 1 else f"{name} ({count})") if several else Path()
        if one.is_dir():
            yield from search.folder(top, below)
        else:
            yield search.file(top, below if several else Path(name), chosen=True)


class _Search:
    def __init__(
        self,
        recursive: bool,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        apart: Collection[Path],
    ) -> None:
        self._recursive = recursive
        self._include = include
        self._exclude = exclude
        self._seen: dict[tuple[int, int], Path] = {}
        self.apart = {mark for path in apart if (mark := _mark(path)) is not None}
        self._files: set[Path] = set()

    def folder(self, folder: Path, place: Path) -> Iterator[Found | LeftOut]:
        # A list instead of recursion: archives can be deeper than Python's stack.
        top, waiting = folder, [(folder, place)]
        while waiting:
            folder, place = waiting.pop()
            mark = _mark(folder)
            if mark in self.apart:
                continue
            if mark is not None and mark in self._seen:
                yield LeftOut(
                    folder,
                    place,
                    f"{folder} is the folder {self._seen[mark]} once more, by a link: it is "
                    "searched once.",
                    fault=False,
                )
                continue
            if mark is not None:
                self._seen[mark] = folder
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: _order(entry.name))
            except OSError as error:
                yield LeftOut(
                    folder,
                    place,
                    f"{folder} cannot be searched ({error.strerror}): check its permissions.",
                )
                continue
            if folder != top and any(entry.name == JOURNAL for entry in entries):
                yield LeftOut(
                    folder,
                    place,
                    f"{folder} holds clips that 'tweeze batch' made, not recordings: name that "
                    "folder, too, if it is to be searched.",
                    fault=False,
                )
                continue
            deeper = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path, at = folder / entry.name, place / entry.name
                if _is_folder(entry):
                    if self._recursive:
                        deeper.append((path, at))
                    elif _mark(path) not in self.apart:
                        yield LeftOut(
                            path,
                            at,
                            f"{path} is a folder in the folder: search it with --recursive.",
                            fault=False,
                        )
                    continue
                found = self.file(path, at)
                if isinstance(found, LeftOut) or found.path not in self._files:
                    yield found
                if isinstance(found, Found):
                    self._files.add(found.path)
            waiting.extend(reversed(deeper))

    def file(self, path: Path, place: Path, *, chosen: bool = False) -> Found | LeftOut:
        """Return what a file is; one that the user chose is taken whatever it is called."""
        if not chosen and not self._wanted(place):
            return LeftOut(
                path, place, f"{path} is no recording by its name: --include takes it.", fault=False
            )
        if any(misleads(c) for c in str(path)):
            return LeftOut(
                path,
                place,
                f"{str(path)!r} has control characters or bytes that are not valid UTF-8 in its "
                "name: rename it.",
            )
        try:
            real = path.resolve(strict=True)
            about = real.stat()
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "its links lead in a circle"
            return LeftOut(
                path, place, f"{path} cannot be opened ({reason}): check where it leads."
            )
        if not stat.S_ISREG(about.st_mode):
            return LeftOut(path, place, f"{path} is no regular file: it is not read.")
        return Found(real, place, about.st_size, about.st_mtime_ns)

    def _wanted(self, place: Path) -> bool:
        if any(_fits(place, pattern) for pattern in self._exclude):
            return False
        if self._include:
            return any(_fits(place, pattern) for pattern in self._include)
        return place.suffix.lower().removeprefix(".") in ENDINGS


def _fits(place: Path, pattern: str) -> bool:
    whole = place.as_posix() if "/" in pattern else place.name
    plain = (unicodedata.normalize("NFC", text).casefold() for text in (whole, pattern))
    return fnmatch(*plain)


def _order(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells a folder from every other, or None if it cannot be looked at."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
