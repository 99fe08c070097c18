"""The tables of a library's index, how its file is opened, and what is said where it cannot be."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

from engine.errors import BadInput, Failure

__all__ = ["opened_to_read", "opened_to_write", "sentences", "words_in"]

# What leads from each schema to the next, the first from an empty file. What is written here is in
# users' hands: a change is a further step, never another text of an old one.
_STEPS = (
    """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: what is heard anew is another
    digest   BLOB NOT NULL UNIQUE,               -- SHA-256 of the file
    frames   INTEGER NOT NULL,
    rate     INTEGER NOT NULL,                   -- Hz
    channels INTEGER NOT NULL,
    listener TEXT NOT NULL,
    notes    TEXT NOT NULL                       -- sentences, a line each
);
CREATE TABLE vectors (                           -- apart, so that the others lie close together
    content INTEGER PRIMARY KEY REFERENCES contents (id),
    data    BLOB NOT NULL                        -- int8, 128 each: of the whole, then of each event
);
CREATE TABLE files (
    id       INTEGER PRIMARY KEY,
    path     TEXT NOT NULL UNIQUE,
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content  INTEGER REFERENCES contents (id),   -- NULL where it could not be heard
    error    TEXT NOT NULL DEFAULT '',           -- a sentence that says why
    passing  INTEGER NOT NULL DEFAULT 0,         -- whether it is worth another try
    gone     REAL                                -- when it was no longer there, seconds since 1970
);
CREATE INDEX files_by_content ON files (content);
CREATE TABLE sounds (
    id    INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,                  -- AudioSet's
    name  TEXT NOT NULL                          -- a musician's
);
CREATE TABLE events (
    sound     INTEGER NOT NULL REFERENCES sounds (id),
    certainty INTEGER NOT NULL,                  -- hundredths
    content   INTEGER NOT NULL REFERENCES contents (id),
    number    INTEGER NOT NULL,                  -- its vector's
    start     INTEGER NOT NULL,                  -- hundredths of a second
    stop      INTEGER NOT NULL,
    PRIMARY KEY (sound, certainty, content, number)
) WITHOUT ROWID;
CREATE INDEX events_by_content ON events (content, number);
CREATE VIRTUAL TABLE words USING fts5(           -- what sounds are called, and are kinds of
    phrase, sound UNINDEXED, own UNINDEXED, tokenize = "porter unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE paths USING fts5(           -- of files, by their ids
    words, tokenize = "unicode61 remove_diacritics 2"
);
""",
)
_SCHEMA = len(_STEPS)
_PATIENCE = 20.0  # seconds that another process may have the file for itself
_APART = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])|_")


def opened_to_write(path: Path) -> sqlite3.Connection:
    """Open an index to be written, or begin it, readable by its user alone.

    Raises
    ------
    BadInput
        The file is no index.
    Failure
        It was written by a newer Tweeze, or the disk refuses.

    """
    with sentences(path):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        database = sqlite3.connect(
            path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            version = _checked(database, path)
            # WAL with NORMAL keeps all that was committed when a process dies; after a power cut
            # the last files are heard again.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if version < _SCHEMA:
                steps = "".join(_STEPS[version:])
                begun = "INSERT OR IGNORE INTO about VALUES ('identity', '{}');"
                database.executescript(
                    f"BEGIN IMMEDIATE; {steps} {begun.format(uuid.uuid4().hex)} "
                    f"PRAGMA user_version = {_SCHEMA}; COMMIT;"
                )
        except BaseException:
            database.close()
            raise
        return database


def opened_to_read(path: Path) -> sqlite3.Connection:
    """Open an index to be read; others may write it meanwhile.

    Raises
    ------
    BadInput
        There is none, or the file is no index.
    Failure
        It was written by a newer Tweeze, or the disk refuses.

    """
    if not path.is_file():
        raise BadInput(
            f"There is no index {path}: make one with 'tweeze index FOLDER', or name another with "
            "--index."
        )
    with sentences(path):
        address = path.absolute().as_uri()
        for mode in ("mode=ro", "mode=ro&immutable=1"):  # the latter where nothing can be written
            database = sqlite3.connect(
                f"{address}?{mode}",
                uri=True,
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if _checked(database, path) == 0:
                    raise BadInput(_no_index(path))
                database.execute("SELECT 1 FROM files LIMIT 1").fetchall()
            except BaseException as error:
                database.close()
                if (
                    isinstance(error, sqlite3.OperationalError)
                    and mode == "mode=ro"
                    and not os.access(path.parent, os.W_OK)
                ):
                    continue
                raise
            # Pages of a large index stay where the system has them.
            database.execute("PRAGMA mmap_size = 2147483648")
            return database
        raise AssertionError("unreachable")


def words_in(path: Path) -> str:
    """Return the words of a path, for a search: "DogBark_03" holds three.

    >>> words_in(Path("/library/DogBark_03.wav"))
    'library Dog Bark 03 wav'
    """
    return " ".join(re.findall(r"[^\W_]+", _APART.sub(" ", str(path))))


@contextlib.contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Say in a sentence what SQLite and the system say of an index.

    Raises
    ------
    BadInput, Failure
        In place of their errors.

    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error) or "no such table" in str(error):
            raise BadInput(_no_index(path)) from error
        if "malformed" in str(error):
            raise Failure(
                f"The index {path} is damaged: move it away and run 'tweeze index' again."
            ) from error
        raise Failure(
            f"The index {path} cannot be used ({error}): check that its disk has room and can be "
            "written, and that no other program holds it."
        ) from error
    except OSError as error:
        raise Failure(
            f"The index {path} cannot be used ({error.strerror}): check its folder, or name "
            "another with --index."
        ) from error


def _checked(database: sqlite3.Connection, path: Path) -> int:
    """Return the schema of a file; 0 if it is empty."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > _SCHEMA and _is_index(database):
        raise Failure(
            f"The index {path} was written by a newer Tweeze: update Tweeze, or name another with "
            "--index."
        )
    if tables and not _is_index(database):
        raise BadInput(_no_index(path))
    return int(version)


def _is_index(database: sqlite3.Connection) -> bool:
    wanted = ("about", "contents", "files", "sounds", "events")
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    return found.issuperset(wanted)


def _no_index(path: Path) -> str:
    return (
        f"{path} is no index of Tweeze's: name another with --index, or make one with 'tweeze "
        "index FOLDER'."
    )
