"""Records every accepted job and its progress in SQLite, so that jobs outlive processes.

Jobs and statuses are stored in their text forms, readable with any SQLite tool.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import BadInput, BadJob, Failure, Foreign
from engine.job import Job
from engine.queue.schema import SCHEMA, check_tables, migrate
from engine.status import JobState, Status

__all__ = ["Entry", "Insertion", "Journal", "entry_of"]

_ROW = "number, id, job, state, status, deaths, accepted, changed, attendant"
_Row = tuple[int, str, str, str, str, int, float, float, str]
_T = TypeVar("_T")
_FINAL = tuple(state.value for state in JobState if state.final)
# The jobs that must outlive a damaged file: those that go on, and those whose editor has yet to
# attend to their end. Not where a clip was claimed: whether it is in a project, only the file knew.
_AT_STAKE = (
    f"(state NOT IN ({', '.join('?' * len(_FINAL))}) "
    "OR attendant != '' AND id NOT IN (SELECT id FROM insertions))"
)
_LOG = logging.getLogger("tweeze.journal")


class Insertion(str, Enum):
    """Whether a clip is in an editor's project.

    `CLAIMED` means that an insertion began and its outcome is not recorded. After a crash nobody
    can know it, so the clip goes in again only when the user asks for it.
    """

    FREE = "free"
    CLAIMED = "claimed"
    INSERTED = "inserted"


@dataclass(frozen=True)
class Entry:
    """A recorded job; `deaths` counts the workers that ended while they ran it."""

    number: int
    job: Job
    status: Status
    deaths: int
    accepted: float
    changed: float


class Journal:
    """The journal in the file `path`, for one process at a time and any of its threads.

    `owned` returns whether the file still belongs to this process; if not, every method raises
    `Foreign`, since another process may use the path.

    A file that SQLite cannot read is renamed, and a new one begun, at the start or whenever the
    damage shows. Damage that shows later costs no unfinished job, nor one whose result its editor
    has yet to handle: those are written into the new file.

    Attributes
    ----------
    notice
        A sentence for the user about an earlier, damaged file; '' without one.

    Raises
    ------
    Failure
        The file was written by a newer Tweeze, or the disk refuses. Any method may raise it.
    Foreign
        The file is not `owned`. Any method may raise it.

    """

    def __init__(self, path: Path, *, owned: Callable[[], bool] = lambda: True) -> None:
        self.path = path
        self.owned = owned
        self.notice = ""
        self._lock = threading.Lock()
        with self._sentences():
            self._database = self._open_or_begin()
            self._file, self._sizes = _identity(path), _sizes(path)
            rows = self._database.execute(
                f"SELECT {_ROW} FROM jobs WHERE {_AT_STAKE}", _FINAL
            ).fetchall()
            self._at_stake: dict[str, _Row] = {row[1]: row for row in rows}

    def close(self) -> None:
        """Close the file; the journal cannot be used afterwards."""
        with self._lock:
            self._database.close()

    def accept(self, job: Job, *, attendant: str = "") -> Entry:
        """Record a new job as queued and return its entry; a known job keeps the entry it has.

        `attendant` is the editor that handles the job's result and then calls `attend`.

        Raises
        ------
        BadJob
            Another job has that id.

        """
        now = time.time()
        status = Status(job.id, JobState.QUEUED)
        row = (job.id, job.to_text(), status.state.value, status.to_text(), now, now, attendant)
        sql = (
            "INSERT OR IGNORE INTO jobs (id, job, state, status, accepted, changed, attendant) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        if self._change((sql, row)):
            self._remember(job.id)
        entry = self.get(job.id)
        assert entry is not None
        if entry.job.unresolved != job.unresolved:
            raise BadJob(f"Another job has the id {job.id}: send this one under a new id.")
        return entry

    def get(self, id: str) -> Entry | None:  # noqa: A002 - the word the whole project uses
        """Return a job's entry, or None if the journal does not know it."""
        entries = self._select("WHERE id = ?", (id,))
        return entries[0] if entries else None

    def unfinished(self) -> list[Entry]:
        """Return the unfinished jobs, in the order of acceptance."""
        marks = ", ".join("?" * len(_FINAL))
        return self._select(f"WHERE state NOT IN ({marks}) ORDER BY number", _FINAL)

    def attended_by(self, attendant: str) -> list[Entry]:
        """Return the jobs, finished or not, whose result an editor has yet to handle, in order."""
        return self._select("WHERE attendant = ? ORDER BY number", (attendant,))

    def attend(self, id: str) -> None:  # noqa: A002
        """Record that a job's result was handled: clips inserted, or the user informed."""
        self._change(("UPDATE jobs SET attendant = '' WHERE id = ?", (id,)))
        self._remember(id)

    def attendant(self, id: str) -> str:  # noqa: A002
        """Return the editor that has yet to handle a job's result; '' where none has."""
        rows = self._rows("SELECT attendant FROM jobs WHERE id = ?", (id,))
        return str(rows[0][0]) if rows else ""

    def recent(self, limit: int = 20) -> list[Entry]:
        """Return the most recently accepted jobs, the latest first."""
        return self._select("ORDER BY number DESC LIMIT ?", (limit,))

    def done(self) -> list[tuple[int, str]]:
        """Return numbers and ids of the jobs that are done, the latest first."""
        return self._rows(
            "SELECT number, id FROM jobs WHERE state = 'done' ORDER BY number DESC", ()
        )

    def ended_before(self, when: float) -> list[str]:
        """Return the ids of the jobs that finished before `when` (seconds since 1970)."""
        marks = ", ".join("?" * len(_FINAL))
        rows = self._rows(
            f"SELECT id FROM jobs WHERE changed < ? AND state IN ({marks})", (when, *_FINAL)
        )
        return [id_ for (id_,) in rows]

    def forget(self, id: str) -> None:  # noqa: A002
        """Delete a finished job and the insertions of its clips."""
        marks = ", ".join("?" * len(_FINAL))
        self._change(
            (f"DELETE FROM jobs WHERE id = ? AND state IN ({marks})", (id, *_FINAL)),
            ("DELETE FROM insertions WHERE id = ? AND id NOT IN (SELECT id FROM jobs)", (id,)),
        )

    def record(self, status: Status, *, deaths: int | None = None) -> None:
        """Record the status of a job."""
        sql = (
            "UPDATE jobs SET state = ?, status = ?, deaths = coalesce(?, deaths), changed = ? "
            "WHERE id = ?"
        )
        self._change((sql, (status.state.value, status.to_text(), deaths, time.time(), status.id)))
        self._remember(status.id)

    def insertion(self, id: str, clip: int) -> Insertion:  # noqa: A002
        """Return whether the job's clip of that index is in an editor's project."""
        rows = self._rows("SELECT state FROM insertions WHERE id = ? AND clip = ?", (id, clip))
        return Insertion(rows[0][0]) if rows else Insertion.FREE

    def claimed_since(self, id: str, when: float) -> bool:  # noqa: A002
        """Return whether a clip was claimed after `when`, and nobody knows yet how that ended."""
        sql = "SELECT 1 FROM insertions WHERE id = ? AND state = 'claimed' AND changed > ? LIMIT 1"
        return bool(self._rows(sql, (id, when)))

    def claim(self, id: str, clip: int, *, again: bool = False) -> bool:  # noqa: A002
        """Claim the insertion of a clip; returns True to the one caller that may insert it.

        `again` claims a clip that was claimed or inserted before; only the user may ask for that.
        """
        sql = (
            "INSERT INTO insertions (id, clip, state, changed) VALUES (?, ?, 'claimed', ?) "
            "ON CONFLICT (id, clip) DO UPDATE SET state = 'claimed', changed = excluded.changed "
        )
        if not again:
            sql += "WHERE insertions.state = 'free'"
        claimed = self._change((sql, (id, clip, time.time()))) == 1
        self._remember(id)
        return claimed

    def settle(self, id: str, clip: int, outcome: Insertion) -> None:  # noqa: A002
        """Record how a claimed insertion ended: `INSERTED`, or `FREE` if surely nothing went in."""
        sql = "UPDATE insertions SET state = ?, changed = ? WHERE id = ? AND clip = ?"
        self._change((sql, (outcome.value, time.time(), id, clip)))

    def _remember(self, id: str) -> None:  # noqa: A002
        """Keep a job in memory for as long as a damaged file must not lose it."""
        sql = f"SELECT {_ROW} FROM jobs WHERE id = ? AND {_AT_STAKE}"
        rows: list[_Row] = self._rows(sql, (id, *_FINAL))
        if rows:
            self._at_stake[id] = rows[0]
        else:
            self._at_stake.pop(id, None)

    def _open_or_begin(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._set_aside(error)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:  # judged first: what is newer is not to be changed in any way
                raise Failure(
                    f"The journal {self.path} was written by a newer Tweeze: update Tweeze, "
                    "or move that file away to begin a new one."
                )
            # WAL with NORMAL keeps all that was committed when a process dies. A power cut may
            # take the last moments, but then the editor's unsaved project is gone with them.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")
            if version < SCHEMA:
                migrate(database, version)
            check_tables(database)
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.stem}.damaged-{time.time_ns()}{self.path.suffix}")
        self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        self.notice = (
            f"The journal could not be read ({error}): it lies at {aside} now, and a new one was "
            "begun."
        )
        _LOG.error("%s", self.notice)

    def _open_again(self, reason: str, *, moved: bool = False) -> None:
        """Open what lies at the path, or begin it, and write the jobs at stake into it.

        A file that was only `moved` or removed can still be read: all that it holds comes along.
        """
        with contextlib.closing(sqlite3.connect(":memory:")) as kept:
            if moved:
                with contextlib.suppress(sqlite3.Error):
                    self._database.backup(kept)
            with contextlib.suppress(sqlite3.Error):
                self._database.close()  # first: at its end SQLite removes files by their names
            self._file = None  # until it is open again
            self._database = self._open_or_begin()
            if kept.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                kept.backup(self._database)
        marks = ", ".join("?" * len(_ROW.split(", ")))
        sql = f"INSERT OR IGNORE INTO jobs ({_ROW}) VALUES ({marks})"
        self._database.executemany(sql, list(self._at_stake.values()))
        self._file, self._sizes = _identity(self.path), _sizes(self.path)
        said = f"The journal {self.path} could no longer be used ({reason}): it was begun anew."
        self.notice = self.notice or said
        _LOG.error("%s", said)

    def _attempt(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` on the database; if that turns out damaged, again on a new one."""
        with self._sentences(), self._lock:
            if not self.owned():
                raise Foreign(
                    f"The journal {self.path} is no longer this engine's: its folder was removed, "
                    "moved or exchanged."
                )
            if self._file is None or _identity(self.path) != self._file:
                self._open_again("somebody removed or exchanged the file", moved=True)
            # SQLite would not notice: it goes on in a file that the next process cannot read.
            elif any(now < then for now, then in zip(_sizes(self.path), self._sizes, strict=True)):
                self._open_again("somebody cut the file off")
            try:
                found = work(self._database)
            except sqlite3.DatabaseError as error:
                if not _means_damage(error):
                    raise
                self._open_again(str(error))
                found = work(self._database)
            self._sizes = _sizes(self.path)
            return found

    def _change(self, *statements: tuple[str, tuple[object, ...]]) -> int:
        """Execute statements in one transaction; returns how many rows the first one changed."""

        def work(database: sqlite3.Connection) -> int:
            database.execute("BEGIN IMMEDIATE")
            try:
                counts = [database.execute(sql, values).rowcount for sql, values in statements]
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            return counts[0]

        return self._attempt(work)

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        return self._attempt(lambda database: database.execute(sql, values).fetchall())

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise Failure(
                f"The journal {self.path} cannot be used ({error}): "
                "check that its disk has room and can be written."
            ) from error

    def _select(self, clause: str, values: tuple[object, ...]) -> list[Entry]:
        rows = self._rows(
            f"SELECT number, job, status, deaths, accepted, changed FROM jobs {clause}", values
        )
        return [entry for entry in map(entry_of, rows) if entry is not None]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def _sizes(path: Path) -> tuple[int, int]:
    """Return the bytes of the file and of its log (WAL): neither shrinks while it is in use."""
    log = Path(f"{path}-wal")
    return path.stat().st_size, log.stat().st_size if log.exists() else 0


def _means_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether an error says that the file itself is no longer what was opened."""
    if isinstance(error, sqlite3.OperationalError):
        return any(words in str(error) for words in ("disk I/O error", "no such table"))
    return type(error) is sqlite3.DatabaseError


def entry_of(row: tuple[int, str, str, int, float, float]) -> Entry | None:
    """Return what a row of the table says; None if that cannot be read."""
    number, job, status, deaths, accepted, changed = row
    try:
        return Entry(
            number, Job.from_text(job), Status.from_text(status), deaths, accepted, changed
        )
    except BadInput as error:
        _LOG.error("Entry %d of the journal is left out: %s", number, error)
        return None
