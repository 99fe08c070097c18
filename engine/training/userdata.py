"""A user's own recordings and their captions, in three forms, as clips to train on.

A folder whose sub-folders' names are captions; a CSV file with the columns ``wav`` and
``caption``; or the JSON form of AudioSep's training, ``{"data": [{"wav": ..., "caption": ...}]}``.
Paths in tables are absolute or relative to the table.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadInput
from engine.job import clean_query
from engine.training.corpus import AUDIO, HELD_OUT, TRAIN, Clip, decode, excerpts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["USER", "Captioned", "Collection", "collect", "find"]

USER = "user"
"""The source of clips that are the user's."""
FEWEST = 6
"""Recordings below which nothing can be learned and measured."""
HELD_OUT_SHARE = 0.2
_FORMS = (
    "sub-folders named after the sounds in them, a CSV file with the columns wav and caption, or "
    'a JSON file like {"data": [{"wav": "a.wav", "caption": "a dog barking"}]}'
)


@dataclass(frozen=True)
class Captioned:
    """A recording and what is heard in it."""

    file: Path
    caption: str


@dataclass(frozen=True)
class Collection:
    """Decoded recordings, split by file."""

    samples: NDArray[np.int16]
    """All clips, one after another, mono at 32 kHz."""
    clips: tuple[Clip, ...]
    """Their class is their caption, their group their file."""

    def of(self, split: str) -> list[Clip]:
        """Return the clips of a split."""
        return [clip for clip in self.clips if clip.split == split]

    @property
    def captions(self) -> tuple[str, ...]:
        """The captions of all clips, sorted."""
        return tuple(sorted({clip.name for clip in self.clips}))


def find(place: Path) -> list[Captioned]:
    """Return the recordings of a folder or table, in a stable order.

    Raises
    ------
    BadInput
        There is nothing of a known form; or a table names a file that is missing, or lacks a
        caption (the message says in which line or entry).

    """
    if not place.exists():
        raise BadInput(f"There is no folder or file {place}: check the path.")
    if place.is_dir():
        tables = sorted(p for p in place.iterdir() if p.suffix.lower() in {".csv", ".json"})
        if len(tables) > 1:
            names = ", ".join(table.name for table in tables)
            raise BadInput(f"{place} holds several tables ({names}): name one in its place.")
        if not tables:
            return _sub_folders(place)
        (place,) = tables
    read = {".csv": _csv, ".json": _json}.get(place.suffix.lower())
    if read is None:
        raise BadInput(f"{place} is neither a folder nor a table: give {_FORMS}.")
    found = []
    for where, wav, caption in read(place):
        if not wav or not caption:
            raise BadInput(f"{where}: there is no {'caption' if wav else 'wav'}; fill it in.")
        file = place.parent / wav
        if not file.is_file():
            raise BadInput(f"{where}: there is no file {file}; correct its path.")
        found.append(Captioned(file, _cleaned(caption, where)))
    if not found:
        raise BadInput(f"{place} names no recording: add one line or entry for each.")
    return found


def collect(
    found: Sequence[Captioned],
    work: Path,
    *,
    alone: bool = True,
    left_out: Callable[[str], None] = lambda _: None,
) -> Collection:
    """Decode recordings into ``work`` and split them by file: a fifth is held out.

    Parameters
    ----------
    found
        The recordings.
    work
        A folder; gets ``audio.i16``.
    alone
        Whether the recordings are mixed with one another only, which takes two captions.
    left_out
        Called with a sentence for each file that cannot be used: broken, silent or too short.

    Raises
    ------
    BadInput
        Too few recordings or captions are left.

    """
    drafts: list[tuple[Captioned, int, int]] = []
    position = 0
    usable = []
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (work / "audio.i16").open("wb") as out:
        for item in found:
            try:
                audio = decode(item.file)
            except ValueError as problem:
                reason = re.sub(f"^{re.escape(str(item.file))}:? ", "", str(problem)).rstrip(".")
                left_out(
                    f"{item.file} is left out ({reason}): replace it or take it out of the data."
                )
                continue
            usable.append(item)
            for piece in excerpts(audio):
                out.write(np.round(piece * 32767).astype("<i2").tobytes())
                drafts.append((item, position, piece.size))
                position += piece.size
    if len(usable) < FEWEST:
        raise BadInput(
            f"{len(usable)} usable recording(s) are too few to learn from and to measure on: "
            f"give at least {FEWEST}, better 20 of each sound."
        )
    captions = {item.caption for item in usable}
    if alone and len(captions) < 2:
        raise BadInput(
            f"All recordings are of '{captions.pop()}', and there is nothing to mix them with: add "
            "recordings of other sounds, or name a corpus with --store."
        )
    held = _held_out(usable, alone=alone)
    learned = {item.caption for item in usable if item.file not in held}
    if len(learned) < (2 if alone else 1):
        raise BadInput(
            "Too few recordings of each sound are left to learn from when some are held out: give "
            "at least 3 of each."
        )
    clips = tuple(
        Clip(
            item.caption,
            USER,
            str(item.file),
            str(item.file),
            HELD_OUT if item.file in held else TRAIN,
            start,
            length,
        )
        for item, start, length in drafts
    )
    return Collection(np.memmap(work / "audio.i16", dtype="<i2", mode="r"), clips)


def _held_out(items: Sequence[Captioned], *, alone: bool) -> frozenset[Path]:
    """Choose by the hash of the paths: a fifth of each caption that has three files or more.

    Where captions are mostly unique, a fifth of all; never the last file of a caption that others
    are held out of.
    """
    by_caption: dict[str, list[Path]] = defaultdict(list)
    for item in items:
        by_caption[item.caption].append(item.file)
    held: set[Path] = set()
    captions = set()
    for caption, files in by_caption.items():
        if len(files) >= 3:
            wanted = max(1, round(HELD_OUT_SHARE * len(files)))
            held |= set(sorted(files, key=_hash)[:wanted])
            captions.add(caption)
    fewest = max(2, round(HELD_OUT_SHARE * len(items)))
    for item in sorted(items, key=lambda item: _hash(item.file)):
        if len(held) >= fewest and len(captions) >= (2 if alone else 1):
            break
        if item.caption not in captions:
            held.add(item.file)
            captions.add(item.caption)
    return frozenset(held)


def _sub_folders(place: Path) -> list[Captioned]:
    found = []
    for folder in sorted(p for p in place.iterdir() if p.is_dir() and p.name[0] != "."):
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO and p.is_file())
        if files:
            caption = _cleaned(folder.name.replace("_", " "), str(folder))
            found += [Captioned(file, caption) for file in files]
    if not found:
        raise BadInput(f"{place} holds no recordings in a known form: give {_FORMS}.")
    return found


def _csv(table: Path) -> Iterator[tuple[str, str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for name in ("wav", "caption"):
                if name not in (reader.fieldnames or ()):
                    raise BadInput(
                        f"{table} has no column '{name}': its first line must be 'wav,caption'."
                    )
            for row in reader:
                wav, caption = ((row[name] or "").strip() for name in ("wav", "caption"))
                yield f"{table}, line {reader.line_num}", wav, caption
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table} cannot be read ({error}): write it as CSV in UTF-8.") from error


def _json(table: Path) -> Iterator[tuple[str, str, str]]:
    try:
        facts: Any = json.loads(table.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{table} cannot be read ({error}): write it as JSON in UTF-8.") from error
    entries = facts.get("data") if isinstance(facts, dict) else None
    if not isinstance(entries, list):
        raise BadInput(f"{table} holds no list 'data': give {_FORMS}.")
    for number, entry in enumerate(entries, start=1):
        values = [entry.get(name) if isinstance(entry, dict) else None for name in _JSON_KEYS]
        wav, caption = (value.strip() if isinstance(value, str) else "" for value in values)
        yield f"{table}, entry {number}", wav, caption


_JSON_KEYS = ("wav", "caption")


def _cleaned(caption: str, where: str) -> str:
    try:
        return clean_query(caption)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _hash(file: Path) -> str:
    # the name and its folder: the split stays the same when the data move
    return hashlib.sha256(os.fsencode("/".join(file.parts[-2:]))).hexdigest()
