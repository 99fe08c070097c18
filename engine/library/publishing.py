"""From clips that were made to clips among the results: whole, once, overwriting nothing."""

from __future__ import annotations

import contextlib
import errno
import itertools
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from engine.errors import Failure
from engine.files import make_usual, name_anew, sync, sync_folder
from engine.library.items import Item
from engine.library.ledger import Claim, Ledger
from engine.library.manifest import Row, rows_of
from engine.library.outcome import Made, Outcome

__all__ = ["part_name", "publish"]

_ATTEMPTS = 10  # at names that others take meanwhile
_OF_NAME = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)
_BLOCK = 1 << 20  # bytes


def publish(ledger: Ledger, item: Item, done: Outcome, *, sure: float = 0.0) -> tuple[Row, ...]:
    """Give the clips of an item their names below the ledger's folder; returns the item's rows.

    A clip keeps its name, with a number where that is taken. Clips of sounds that are less likely
    there than `sure` are removed, and so is everything where the item failed. The files that were
    made are gone afterwards.

    Raises
    ------
    Failure
        The disk refuses: nothing of the item is among the results, and all that was there stays.

    """
    wanted = [made for made in done.made if made.certainty is None or made.certainty >= sure]
    try:
        clips = _published(ledger, item, wanted)
        rows = rows_of(item, done, [clips.get(made.path, "") for made in done.made], sure=sure)
        ledger.settle(item.key, item.found, rows)
    except OSError as error:
        with contextlib.suppress(OSError):
            ledger.withdraw(item.key)
        if error.errno not in _OF_NAME:
            raise _refused(error, ledger.folder) from error
        name = Path(str(error.filename2 or error.filename)).name
        done = replace(
            done,
            error=f"{ledger.folder} does not allow the name '{name}': name another folder with "
            "--out.",
        )
        rows = rows_of(item, done, ())
        try:
            ledger.settle(item.key, item.found, rows)
        except OSError as second:
            raise _refused(second, ledger.folder) from second
    _forget(done.made)
    return tuple(rows)


def _published(ledger: Ledger, item: Item, wanted: Sequence[Made]) -> dict[Path, str]:
    """Claim names and give them to the clips; returns where each lies, by where it lay."""
    for attempt in itertools.count(1):
        claims: list[Claim] = []
        for made in wanted:
            claims.append(_claim(ledger.folder, item, made, {one.clip for one in claims}))
        if claims:
            ledger.claim(item.key, claims)
        try:
            _name(ledger.folder, wanted, claims)
        except FileExistsError:  # somebody took a name meanwhile
            ledger.withdraw(item.key)
            if attempt == _ATTEMPTS:
                raise
            continue
        return {made.path: one.clip for made, one in zip(wanted, claims, strict=True)}
    raise AssertionError


def part_name() -> str:
    """Return a name for an unfinished file among the results: hidden, and nobody else's."""
    return f".tweeze-{secrets.token_hex(8)}.part"


def _claim(folder: Path, item: Item, made: Made, taken: set[str]) -> Claim:
    """Choose a free name for a clip."""
    stem, number = made.name.removesuffix(".wav"), 1
    while True:
        name = f"{stem}.wav" if number == 1 else f"{stem} ({number}).wav"
        clip = item.folder / name
        told = PurePosixPath(*clip.parts).as_posix()
        if told not in taken and not (folder / clip).exists():
            part = item.folder / part_name()
            if made.path.parent == folder / item.folder and made.path.name.startswith("."):
                part = item.folder / made.path.name  # it was made among the results
            return Claim(PurePosixPath(*part.parts).as_posix(), told, made.digest)
        number += 1


def _name(folder: Path, wanted: Sequence[Made], claims: Sequence[Claim]) -> None:
    folders = {(folder / claim.clip).parent for claim in claims}
    for one in folders:
        one.mkdir(parents=True, exist_ok=True)
    for made, claim in zip(wanted, claims, strict=True):
        _bring(made.path, folder / claim.part)
    for claim in claims:
        part, clip = folder / claim.part, folder / claim.clip
        name_anew(part, clip)
        make_usual(clip)
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    for one in folders:
        sync_folder(one)


def _bring(file: Path, part: Path) -> None:
    """Bring a file to the results' disk, where it has a name that is nobody's yet."""
    if file == part:
        return
    try:
        name_anew(file, part)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    with file.open("rb") as source, part.open("xb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
        target.flush()
        sync(target.fileno())


def _refused(error: OSError, folder: Path) -> Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            f"The disk that holds {folder} is full: make room there and run the command again; it "
            "goes on where it stopped."
        )
    return Failure(
        f"The clips could not be written to {folder} ({error.strerror or error}): check the disk "
        "and run the command again; it goes on where it stopped."
    )


def _forget(made: Sequence[Made]) -> None:
    """Remove what was made, and the folders that are empty then."""
    for one in made:
        with contextlib.suppress(OSError):
            one.path.unlink(missing_ok=True)
        if not one.path.name.startswith("."):
            with contextlib.suppress(OSError):
                one.path.parent.rmdir()
