"""The journal's tables, and the way there from those of earlier versions."""

from __future__ import annotations

import logging
import sqlite3

__all__ = ["SCHEMA", "STEPS", "check_tables", "migrate"]

# What leads from each schema to the next, the first from an empty file. What is written here is in
# users' hands: a change is a further step, never another text of an old one.
STEPS = (
    """
CREATE TABLE jobs (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance
    id       TEXT NOT NULL UNIQUE,
    job      TEXT NOT NULL,
    state    TEXT NOT NULL,
    status   TEXT NOT NULL,
    deaths   INTEGER NOT NULL DEFAULT 0,
    accepted REAL NOT NULL,                      -- seconds since 1970, as are the other times
    changed  REAL NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE TABLE insertions (
    id      TEXT NOT NULL REFERENCES jobs (id),
    clip    INTEGER NOT NULL,                    -- index in the status's clips
    state   TEXT NOT NULL,
    changed REAL NOT NULL,
    PRIMARY KEY (id, clip)
);
""",
    "CREATE INDEX jobs_by_change ON jobs (changed);  -- for those that ended long ago\n",
    """
-- The editor whose part has yet to attend to the job's end; empty where none has.
ALTER TABLE jobs ADD COLUMN attendant TEXT NOT NULL DEFAULT '';
UPDATE jobs SET attendant = 'audacity'
    WHERE state IN ('queued', 'running')
    AND instr(job, char(10) || 'host=audacity' || char(10)) > 0;
CREATE INDEX jobs_by_attendant ON jobs (attendant, number);
""",
)
SCHEMA = len(STEPS)
_LOG = logging.getLogger("tweeze.journal")


def check_tables(database: sqlite3.Connection) -> None:
    """Check that a file has the journal's tables; sqlite3.DatabaseError if it has not."""
    try:
        database.execute(
            "SELECT number, id, job, state, status, deaths, attendant FROM jobs LIMIT 1"
        )
        database.execute("SELECT id, clip, state, changed FROM insertions LIMIT 1")
    except sqlite3.OperationalError as error:
        if "no such" in str(error):  # whatever this file is, it will not become a journal
            raise sqlite3.DatabaseError(str(error)) from error
        raise


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Take a file from its schema to the present one, all the way or not at all."""
    if version < 0 or (
        version == 0 and database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise sqlite3.DatabaseError(f"no journal has the schema {version}")
    steps = "".join(STEPS[version:])
    try:
        database.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA}; COMMIT;")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    if version:
        _LOG.info("The journal was brought from schema %d to %d.", version, SCHEMA)
