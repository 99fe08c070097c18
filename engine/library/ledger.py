"""What a batch has done, on disk: the journal from which it goes on after whatever ended it.

One JSON object a line, each written through to the disk before the next step. What is to be
published is claimed first, by the names and digests of its clips; so a batch that ended in between
finds its own files, whole or not, and never takes others for them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import BadInput, Failure
from engine.files import sync_folder
from engine.library.finding import JOURNAL, Found
from engine.library.manifest import Row, State
from engine.library.outcome import digest
from engine.queue.lock import ProcessLock, holder

__all__ = ["Claim", "Ledger"]

_LOCK = ".tweeze-batch.lock"
_FORM = 1
_ROUNDED = 0.005  # by which a certainty may be less than a row says
_ROW = {field.name for field in fields(Row)}


@dataclass(frozen=True)
class Claim:
    """A clip that is about to get its name: the file it is until then, the name, and its digest.

    Both paths are below the output.
    """

    part: str
    clip: str
    digest: str


@dataclass(frozen=True)
class _Entry:
    size: int
    mtime_ns: int
    rows: tuple[Row, ...]


class Ledger:
    """The journal of the batches into one folder; held by one process at a time.

    Raises
    ------
    BadInput
        Another batch is writing there, the folder cannot be used, or the journal is none.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / JOURNAL
        self._entries: dict[str, _Entry] = {}
        self._claims: dict[str, tuple[Claim, ...]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = ProcessLock(folder / _LOCK)
            if not self._lock.take():
                raise BadInput(
                    f"Another 'tweeze batch' (process {holder(folder / _LOCK) or 'unknown'}) is "
                    f"writing to {folder}: wait for it, or name another folder with --out."
                )
        except (OSError, Failure) as error:
            raise BadInput(
                f"Clips cannot be written to {folder} "
                f"({getattr(error, 'strerror', None) or error}): name another folder with --out."
            ) from error
        try:
            self._read()
            self._file: BinaryIO = self._path.open("ab")
            if not self._file.tell():
                self._write({"tweeze-batch": _FORM})
                sync_folder(folder)
            for key in list(self._claims):  # an earlier batch ended in its middle: done anew
                self.withdraw(key)
        except OSError as error:
            self._lock.drop()
            raise BadInput(
                f"What an earlier batch left in {folder} cannot be used ({error.strerror}): check "
                "its permissions, or name another folder with --out."
            ) from error
        except BaseException:
            self._lock.drop()
            raise

    def __len__(self) -> int:
        return len(self._entries)

    def is_done(self, key: str, found: Found, sure: float = 0.0) -> bool:
        """Return whether an item was done, and its recording has not changed since.

        One that failed is not done: it may go well now. Nor is one of which a clip was not kept
        that would be now, as its sound is at least as likely there as `sure`.
        """
        entry = self._entries.get(key)
        return (
            entry is not None
            and (entry.size, entry.mtime_ns) == (found.size, found.mtime_ns)
            and not any(
                row.state == State.FAILED.value
                or (row.state == State.NOT_HEARD.value and _would_do(row, sure))
                for row in entry.rows
            )
        )

    def rows(self) -> Iterator[Row]:
        """Yield all rows, those of the items that were done first leading."""
        for entry in self._entries.values():
            yield from entry.rows

    def rows_of(self, key: str) -> tuple[Row, ...]:
        """Return the rows of an item; none of one that is not known."""
        entry = self._entries.get(key)
        return entry.rows if entry is not None else ()

    def claim(self, key: str, claims: Sequence[Claim]) -> None:
        """Note what is about to be published."""
        self._write({"claim": key, "clips": [asdict(one) for one in claims]})
        self._claims[key] = tuple(claims)

    def settle(self, key: str, found: Found, rows: Sequence[Row]) -> None:
        """Note what became of an item: its claims are published, or it has none."""
        told = [
            {name: value for name, value in asdict(row).items() if value not in (None, "")}
            for row in rows
        ]
        self._write({"done": key, "size": found.size, "mtime_ns": found.mtime_ns, "rows": told})
        self._claims.pop(key, None)
        self._entries.pop(key, None)  # behind what was done before
        self._entries[key] = _Entry(found.size, found.mtime_ns, tuple(rows))

    def withdraw(self, key: str) -> None:
        """Remove what an item published of its claims; nothing is known of it then."""
        for claim in self._claims.pop(key, ()):
            self._remove(claim)
        self._write({"withdrawn": key})

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()
        self._lock.drop()

    def _write(self, what: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(what).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        """Read what there is; a last line that was cut short is taken away."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self._path.open("r+b") as file:
                file.truncate(whole)
        number = 0
        try:
            for number, line in enumerate(data[:whole].splitlines(), start=1):
                said = json.loads(line)
                if number == 1 and said != {"tweeze-batch": _FORM}:
                    raise ValueError
                self._take(said)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput(
                f"{self._path}, line {number}, is not of this version of Tweeze, or damaged: name "
                "another folder with --out, or remove that file to begin anew beside the clips "
                "that are there."
            ) from None

    def _take(self, said: Mapping[str, Any]) -> None:
        if "claim" in said:
            self._claims[said["claim"]] = tuple(Claim(**one) for one in said["clips"])
        elif "withdrawn" in said:
            self._claims.pop(said["withdrawn"], None)
        elif "done" in said:
            rows = tuple(
                Row(**{name: value for name, value in one.items() if name in _ROW})
                for one in said["rows"]
            )
            self._claims.pop(said["done"], None)
            self._entries.pop(said["done"], None)
            self._entries[said["done"]] = _Entry(int(said["size"]), int(said["mtime_ns"]), rows)

    def _remove(self, claim: Claim) -> None:
        """Remove a claimed file: the unfinished one, and the clip if it is the one claimed."""
        begun = False
        with contextlib.suppress(FileNotFoundError):
            (self.folder / claim.part).unlink()
            begun = True
        clip = self.folder / claim.clip
        with contextlib.suppress(FileNotFoundError):
            # A name may be taken by an empty file first, see `name_anew`.
            empty = begun and not clip.stat().st_size
            if clip.is_file() and (empty or digest(clip) == claim.digest):
                clip.unlink()


def _would_do(row: Row, sure: float) -> bool:
    """Return whether a sound is as likely there as `sure`, whatever its certainty was rounded."""
    return not sure or (row.certainty is not None and row.certainty - _ROUNDED >= sure)
