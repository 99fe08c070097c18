"""Tables of what to separate: a CSV file that names recordings, sounds, stretches and options."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import BadInput
from engine.job import check_nots, clean_query
from engine.library.finding import Found, LeftOut, find
from engine.library.items import Cut, Item
from engine.option_types import read, table
from engine.options import Options

__all__ = ["COLUMNS", "read_table"]

COLUMNS = ("file", "query", "not", "start", "end")
"""Columns that a table may have, beside those named like an option; the first must be there."""
_BETWEEN = ";"  # sounds in one cell
_LARGEST = 64 << 20  # bytes of a table: a hundred thousand rows are 10 MB
_COMMA = re.compile(r"\d+,\d+")  # a number as spreadsheets of half the world write it
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


def read_table(
    path: Path, queries: Sequence[str], nots: Sequence[str], options: Options
) -> Iterator[Item | LeftOut]:
    """Yield what the rows of a table ask for, in their order.

    A row has a `file`, relative to the table's folder, and a `query`, several with semicolons
    between them; `not`, `start` and `end` (seconds, or `1:05.5`) and any option by its name may
    follow. What a row leaves open, or ends before, is as the arguments have it. A row that cannot
    be used is left out, with a sentence that says which line it is.

    Raises
    ------
    BadInput
        The table cannot be read, or has no column `file`, or one that nobody knows.

    """
    text, delimiter = _without_hint(_text(path))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = _lines(reader, path)
    first = next((row for _, row in lines if any(cell.strip() for cell in row)), [])
    header = _trimmed([name.strip().casefold() for name in first])
    known = {*COLUMNS, *(option.name for option in table(Options))}
    strange = [name for name in header if name not in known]
    if "file" not in header or strange or len(set(header)) < len(header):
        raise BadInput(
            f"The first line of {path} must name the columns: file, query, and what else is wanted "
            f"of {', '.join(COLUMNS[2:])} and the options' names"
            + (f"; {strange[0][:40]!r} is none of them." if any(strange) else ", each once.")
        )
    rows = [
        (number, _fitting(row, len(header)))
        for number, row in lines
        if any(cell.strip() for cell in row)
    ]
    top = _top(path.parent.absolute(), [row[header.index("file")] for _, row in rows])
    for number, row in rows:
        try:
            if len(row) > len(header):
                raise BadInput("it has more cells than there are columns")
            cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
            found = _found(path.parent / cells["file"], top) if cells["file"] else None
            if found is None:
                raise BadInput("it names no file")
            if isinstance(found, LeftOut):
                yield replace(found, sentence=f"{path}, line {number}: {found.sentence}")
                continue
            yield _item(found, cells, queries, nots, options)
        except BadInput as error:
            sentence = f"{path}, line {number}, cannot be used: {error}"
            name = row[header.index("file")].strip()
            whole = path.parent.absolute() / name if name else path
            yield LeftOut(whole, Path(name or path.name), sentence.removesuffix(".") + ".")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:  # a pipe, too
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadInput(
            f"The table {path} cannot be read ({error.strerror}): check its path."
        ) from None
    if len(data) > _LARGEST:
        raise BadInput(
            f"The table {path} has more than {_LARGEST >> 20} MiB: name a smaller one, or several "
            "one after the other."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The table {path} is not UTF-8 (byte {error.start}): save it as 'CSV UTF-8'."
        ) from None


def _without_hint(text: str) -> tuple[str, str]:
    """Return a table and what is between its cells, which a line for Excel (`sep=;`) may say."""
    first, _, rest = text.partition("\n")
    if first.strip().casefold() in ("sep=,", "sep=;", "sep="):
        return f"\n{rest}", first.strip("\r\n ")[4:] or "\t"
    return text, max((",", ";", "\t"), key=first.count)


def _trimmed(cells: list[str]) -> list[str]:
    """Return cells without the empty ones at the end."""
    last = max((number for number, cell in enumerate(cells, start=1) if cell.strip()), default=0)
    return cells[:last]


def _fitting(cells: list[str], count: int) -> list[str]:
    """Return a row as long as the header: spreadsheets add empty cells, and leave them out."""
    kept = _trimmed(cells)
    return kept + [""] * (count - len(kept))


def _lines(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    while True:
        begin = reader.line_num + 1  # type: ignore[attr-defined]
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadInput(
                f"The table {path} is damaged in the row at line {begin} ({error}): look at its "
                "quotes, or save it as CSV once more."
            ) from None
        yield reader.line_num, row  # type: ignore[attr-defined]


def _top(folder: Path, names: Sequence[str]) -> Path:
    """Return the folder below which all recordings lie: the table's own, if it can be."""
    places = [Path(os.path.normpath(folder / name.strip())).parent for name in names if name]
    if all(place.is_relative_to(folder) for place in places):
        return folder
    try:
        return Path(os.path.commonpath(places))
    except ValueError:  # on several drives
        return Path(folder.anchor)


def _found(file: Path, top: Path) -> Found | LeftOut | None:
    whole = Path(os.path.normpath(file.absolute()))
    try:
        if whole.is_dir():
            raise BadInput("it names a folder, not a file")
        if not whole.exists():
            return LeftOut(whole, Path(whole.name), f"there is no file {whole}.")
        found = next(find([whole]))
    except OSError as error:  # a name that no disk takes, a folder that nobody may look into
        raise BadInput(f"its file cannot be opened ({error.strerror})") from None
    place = whole.relative_to(top) if whole.is_relative_to(top) else Path(*whole.parts[1:])
    return replace(found, place=place)


def _item(
    found: Found,
    cells: Mapping[str, str],
    queries: Sequence[str],
    nots: Sequence[str],
    options: Options,
) -> Item:
    wanted = _sounds(cells.get("query", "")) or tuple(queries)
    if not wanted:
        raise BadInput("it names no sound, and the command names none either")
    unwanted = _sounds(cells.get("not", "")) or tuple(nots)
    check_nots(wanted, unwanted)
    own = {option.name for option in table(Options)}
    given = {name: _number(text) for name, text in cells.items() if text and name in own}
    cut = None
    if cells.get("start") or cells.get("end"):
        start = _seconds(cells.get("start", "") or "0", "start")
        cut = Cut(start, _seconds(cells["end"], "end") if cells.get("end") else None)
    chosen = replace(options, **read(Options, given.get, "row"))
    return Item(found, wanted, unwanted, chosen, cut)


def _sounds(cell: str) -> tuple[str, ...]:
    parts = [part for part in cell.split(_BETWEEN) if part.strip()]
    return tuple(dict.fromkeys(clean_query(part) for part in parts))


def _number(text: str) -> str:
    return text.replace(",", ".") if _COMMA.fullmatch(text) else text


def _seconds(text: str, column: str) -> float:
    plain = text.replace(",", ".")
    with contextlib.suppress(ValueError):
        clock = _CLOCK.fullmatch(plain)
        hours, minutes, seconds = clock.groups() if clock else (None, None, plain)
        value = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
        if 0 <= value < 1e7:
            return value
    raise BadInput(f"'{column}' must be seconds, like 12.5, or like 1:02.5, not {text[:40]!r}")
