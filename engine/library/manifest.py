"""The manifest of a batch: a table that says what became of each recording and each sound."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TextIO

from engine.files import replace_text
from engine.library.items import Item
from engine.library.outcome import Outcome

__all__ = ["COLUMNS", "Manifest", "Row", "State", "rows_of", "write_parquet"]


class State(str, Enum):
    """What a row of the manifest says of a sound."""

    DONE = "done"
    NOT_HEARD = "not heard"  # the sound is not likely there, and its clip was not wanted then
    FAILED = "failed"
    LEFT_OUT = "left out"  # no recording by its name, or not to be searched


@dataclass(frozen=True)
class Row:
    """A row of the manifest. What is not known is empty.

    Attributes
    ----------
    file
        The recording's path.
    part
        The stretch of it, in seconds (`12.5-15`); empty for all of it.
    query
        The sound; empty for everything else.
    state
        One of `State`.
    model
        Who answered.
    certainty
        How likely the sound is there, 0 to 1; of everything else, how likely any sound is that was
        taken out.
    energy_share
        The clip's energy as a share of the recording's.
    heard_seconds
        For how long it is likely there.
    seconds
        How long the recording, or the stretch, is.
    clip
        The clip's path below the manifest's folder.
    digest
        SHA-256 of the clip's file.
    error
        A sentence that says why there is no clip.

    """

    file: str
    part: str = ""
    query: str = ""
    state: str = State.DONE.value
    model: str = ""
    certainty: float | None = None
    energy_share: float | None = None
    heard_seconds: float | None = None
    seconds: float | None = None
    clip: str = ""
    digest: str = ""
    error: str = ""


COLUMNS = tuple(field.name for field in fields(Row))
"""The manifest's columns, in their order."""


def rows_of(item: Item, done: Outcome, clips: Sequence[str], *, sure: float = 0.0) -> list[Row]:
    """Return the rows of an item.

    Parameters
    ----------
    item
        What was asked for.
    done
        What became of it.
    clips
        Where each of `done.made` lies now; empty for one that was not published.
    sure
        How likely a sound had to be for its clip to be published.

    """
    file, part = str(item.found.path), "" if item.cut is None else item.cut.text
    if done.error:
        return [
            Row(file, part, query, State.FAILED.value, error=done.error) for query in item.queries
        ]
    return [
        Row(
            file,
            part,
            made.query,
            State.DONE.value if clip else State.NOT_HEARD.value,
            made.model,
            _rounded(made.certainty, 2),
            _rounded(made.share, 6),
            _rounded(made.heard, 2),
            _rounded(done.seconds, 3),
            clip,
            made.digest if clip else "",
            "" if clip else f"It is less likely there than {sure:.0%}.",
        )
        for made, clip in zip(done.made, clips, strict=True)
    ]


class Manifest:
    """The table as CSV: rows are appended while the batch goes on, and it is written anew whole.

    It is made from the batch's own journal, which is what counts.

    Raises
    ------
    OSError
        The disk refuses.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def rewrite(self, rows: Iterable[Row]) -> None:
        """Replace the table, in one step."""
        self.close()
        lines = _Lines()
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_cells(row) for row in rows)
        replace_text(self.path, "".join(lines.text))

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows at the end, where others see them at once."""
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8", newline="")
        csv.writer(self._file, lineterminator="\n").writerows(_cells(row) for row in rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _Lines:
    """A file for `csv` that keeps what is written."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def write(self, text: str) -> int:
        self.text.append(text)
        return len(text)


def write_parquet(path: Path, rows: Sequence[Row]) -> bool:
    """Write the table as Parquet; False where pyarrow, which does that, is not installed.

    Raises
    ------
    OSError
        The disk refuses.

    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return False
    numbers = {"certainty", "energy_share", "heard_seconds", "seconds"}
    kinds = [(name, pyarrow.float64() if name in numbers else pyarrow.string()) for name in COLUMNS]
    columns = {name: [_plain(getattr(row, name)) for row in rows] for name in COLUMNS}
    table = pyarrow.table(columns, schema=pyarrow.schema(kinds))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pyarrow.parquet.write_table(table, temporary)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True


def _cells(row: Row) -> list[str]:
    return ["" if value is None else str(_plain(value)) for value in astuple(row)]


def _plain(value: object) -> object:
    """Return a value without what is not Unicode in it, as a file's name may have it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
