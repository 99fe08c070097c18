"""The index of a library, to be written: which files there are, and what is heard in each.

What is heard belongs to a file's content, by its digest: a file that is moved, renamed or copied
finds again what is known. Every change is one transaction, so that a process that is killed loses
nothing but the file at hand; one process writes at a time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from engine.errors import BadInput
from engine.library.content import DIMENSIONS, Content
from engine.library.tables import opened_to_write, sentences, words_in
from engine.library.vocabulary import fingerprint, vocabulary
from engine.library.wanted import around
from engine.queue.lock import ProcessLock, holder

__all__ = ["Index", "Known"]


@dataclass(frozen=True)
class Known:
    """A file as the index has it.

    Attributes
    ----------
    size, mtime_ns
        Bytes, and nanoseconds since the epoch, when it was last looked at.
    heard
        Whether its content is known, as the present listener hears it.
    error
        Why it is not; '' if there is no fault.
    passing
        Whether the fault may have passed.
    gone
        Whether it was not there when it was last looked for.

    """

    size: int
    mtime_ns: int
    heard: bool
    error: str
    passing: bool
    gone: bool


class Index:
    """The index in a file, for the one process that writes it.

    Parameters
    ----------
    path
        The file; it is begun if it is not there.
    listener
        Which listener hears: what others heard counts as unknown.

    Raises
    ------
    BadInput
        Another process writes it, or the file is no index. Methods raise it, too.
    Failure
        The disk refuses. Methods raise it, too.

    """

    def __init__(self, path: Path, listener: str) -> None:
        self.path = path
        self.listener = listener
        with sentences(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = ProcessLock(path.with_name(f"{path.name}.lock"))
        if not self._lock.take():
            by = holder(self._lock.path)
            who = f"process {by}" if by else "another process"
            raise BadInput(
                f"The index {path} is being written by {who}: wait until that has ended, or name "
                "another with --index."
            )
        try:
            self._database = opened_to_write(path)
            self._sounds = self._named()
        except BaseException:
            self._lock.drop()
            raise

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; all of it lies at its path then."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        self._lock.drop()

    def known(self, path: Path) -> Known | None:
        """Return what is known of a file, or None."""
        with sentences(self.path):
            row = self._database.execute(
                "SELECT size, mtime_ns, listener, error, passing, gone FROM files "
                "LEFT JOIN contents ON contents.id = content WHERE path = ?",
                (str(path),),
            ).fetchone()
        if row is None:
            return None
        size, mtime_ns, listener, error, passing, gone = row
        heard = listener == self.listener
        return Known(size, mtime_ns, heard, error, bool(passing), gone is not None)

    def holds(self, digest: bytes) -> bool:
        """Whether a content is known, as the present listener hears it."""
        return self._content(digest) is not None

    def below(self, folder: Path) -> set[str]:
        """Return the paths of all files at or below a folder that were there last time."""
        with sentences(self.path):
            rows = self._database.execute(
                "SELECT path FROM files "
                "WHERE gone IS NULL AND (path = ? OR path >= ? AND path < ?)",
                (str(folder), *around(folder)),
            )
            return {path for (path,) in rows}

    def link(self, path: Path, size: int, mtime_ns: int, digest: bytes) -> None:
        """Say that a file has a content that is known; ValueError if it is not."""
        content = self._content(digest)
        if content is None:
            raise ValueError(digest.hex())
        with self._change() as database:
            self._file(database, path, size, mtime_ns, content)

    def add(self, path: Path, size: int, mtime_ns: int, content: Content) -> None:
        """Write what was heard in a file."""
        with self._change() as database:
            self._file(database, path, size, mtime_ns, self._insert(database, content))

    def refuse(
        self, path: Path, size: int, mtime_ns: int, error: str, *, passing: bool = False
    ) -> None:
        """Say why a file could not be heard; `passing` if that is worth another try."""
        with self._change() as database:
            self._file(database, path, size, mtime_ns, None, error, passing=passing)

    def returned(self, paths: Collection[str]) -> None:
        """Say that files are there again, as they were."""
        with self._change() as database:
            database.executemany(
                "UPDATE files SET gone = NULL WHERE path = ?", ((path,) for path in paths)
            )

    def gone(self, paths: Collection[str]) -> None:
        """Say that files are no longer there. What was heard in them stays, until `prune`."""
        with self._change() as database:
            database.executemany(
                "UPDATE files SET gone = ? WHERE path = ?", ((time.time(), p) for p in paths)
            )

    def prune(self) -> int:
        """Forget files that are gone, and what was heard in them; returns how many."""
        with self._change() as database:
            database.execute("DELETE FROM paths WHERE rowid IN (SELECT id FROM files WHERE gone)")
            count = database.execute("DELETE FROM files WHERE gone IS NOT NULL").rowcount
            _drop(
                database,
                "id NOT IN (SELECT content FROM files WHERE content IS NOT NULL)",
            )
        return count

    def _named(self) -> dict[str, int]:
        """Bring sounds and words up to date; return the sounds' numbers by AudioSet's names."""
        named = vocabulary()
        mark = fingerprint(named)
        with sentences(self.path):
            found = self._database.execute(
                "SELECT value FROM about WHERE name = 'vocabulary'"
            ).fetchone()
        with self._change() as database:
            if found is None or found[0] != mark:
                database.executemany(
                    "INSERT INTO sounds (label, name) VALUES (?, ?) "
                    "ON CONFLICT (label) DO UPDATE SET name = excluded.name",
                    ((one.label, one.name) for one in named),
                )
                numbers = dict(database.execute("SELECT label, id FROM sounds").fetchall())
                database.execute("DELETE FROM words")
                database.executemany(
                    "INSERT INTO words (phrase, sound, own) VALUES (?, ?, ?)",
                    (
                        (phrase, numbers[one.label], own)
                        for one in named
                        for phrases, own in ((one.own, 1), (one.kinds, 0))
                        for phrase in phrases
                    ),
                )
                database.execute("INSERT OR REPLACE INTO about VALUES ('vocabulary', ?)", (mark,))
            database.execute(
                "INSERT OR REPLACE INTO about VALUES ('listener', ?)", (self.listener,)
            )
            return dict(database.execute("SELECT label, id FROM sounds").fetchall())

    def _content(self, digest: bytes) -> int | None:
        with sentences(self.path):
            found = self._database.execute(
                "SELECT id FROM contents WHERE digest = ? AND listener = ?",
                (digest, self.listener),
            ).fetchone()
        return found[0] if found else None

    def _insert(self, database: sqlite3.Connection, content: Content) -> int:
        """Write a content, unless it is there: two files may be copies of each other."""
        if len(content.vectors) != DIMENSIONS * (1 + len(content.happenings)):
            raise ValueError(f"{len(content.vectors)} bytes of vectors")
        before = self._content(content.digest)
        if before is not None:
            return before
        old = database.execute(
            "SELECT id FROM contents WHERE digest = ?", (content.digest,)
        ).fetchone()
        if old:  # heard by another listener: its files get the new one
            database.execute("UPDATE contents SET digest = ? WHERE id = ?", (b"", old[0]))
        number = database.execute(
            "INSERT INTO contents (digest, frames, rate, channels, listener, notes) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                content.digest,
                content.frames,
                content.rate,
                content.channels,
                content.listener,
                "\n".join(content.notes),
            ),
        ).lastrowid
        assert number is not None
        if old:
            database.execute("UPDATE files SET content = ? WHERE content = ?", (number, old[0]))
            _drop(database, "id = ?", old[0])
        database.execute("INSERT INTO vectors VALUES (?, ?)", (number, content.vectors))
        database.executemany(
            "INSERT INTO events (sound, certainty, content, number, start, stop) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                (self._sounds[one.label], one.certainty, number, place, one.start, one.stop)
                for place, one in enumerate(content.happenings, start=1)
            ),
        )
        return number

    def _file(
        self,
        database: sqlite3.Connection,
        path: Path,
        size: int,
        mtime_ns: int,
        content: int | None,
        error: str = "",
        *,
        passing: bool = False,
    ) -> None:
        old = database.execute("SELECT content FROM files WHERE path = ?", (str(path),)).fetchone()
        (number,) = database.execute(
            "INSERT INTO files (path, size, mtime_ns, content, error, passing) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET size = excluded.size, "
            "mtime_ns = excluded.mtime_ns, content = excluded.content, error = excluded.error, "
            "passing = excluded.passing, gone = NULL RETURNING id",
            (str(path), size, mtime_ns, content, error, passing),
        ).fetchone()
        if old is None:
            database.execute(
                "INSERT INTO paths (rowid, words) VALUES (?, ?)", (number, words_in(path))
            )
        elif old[0] is not None and old[0] != content:
            _drop(
                database,
                "id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE content = contents.id)",
                old[0],
            )

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing."""
        with sentences(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


def _drop(database: sqlite3.Connection, which: str, *values: object) -> None:
    """Remove contents with all that was heard in them."""
    numbers = [row[0] for row in database.execute(f"SELECT id FROM contents WHERE {which}", values)]
    for number in numbers:
        for events in ("events", "vectors"):
            database.execute(f"DELETE FROM {events} WHERE content = ?", (number,))
        database.execute("DELETE FROM contents WHERE id = ?", (number,))
